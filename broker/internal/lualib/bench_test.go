package lualib

import "testing"

const benchDocument = `{"id":12345,"name":"a name of some length","tags":["one","two","three"],"price":12.75,"nested":{"a":{"b":[1,2,3,4,5,6,7,8]},"ok":true,"none":null},"text":"with \"escapes\" and \u20ac"}`

func BenchmarkLibraries(b *testing.B) {
	for _, bench := range []struct{ name, setup, script string }{
		{"decode", "document = [==[" + benchDocument + "]==]", "return cjson.decode(document)"},
		{"encode", "value = cjson.decode([==[" + benchDocument + "]==])", "return cjson.encode(value)"},
		{"pack", "value = cjson.decode([==[" + benchDocument + "]==])", "return cmsgpack.pack(value)"},
		{"unpack", "packed = cmsgpack.pack(cjson.decode([==[" + benchDocument + "]==]))", "return cmsgpack.unpack(packed)"},
		{"struct", "", "return struct.unpack('>I4hd', struct.pack('>I4hd', 1, 2, 3))"},
		{"bit", "", "return bit.band(bit.bxor(1, 2, 3), 0xff)"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newState()
			for _, script := range []string{bench.setup, bench.script} {
				f, err := s.Load(script, "@user_script")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Call(f); err != nil {
					b.Fatal(err)
				}
				if script == bench.script {
					b.ReportAllocs()
					for b.Loop() {
						s.Call(f)
					}
				}
			}
		})
	}
}
