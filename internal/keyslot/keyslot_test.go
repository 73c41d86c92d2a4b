package keyslot

import "testing"

// The slots are what CLUSTER KEYSLOT of Redis 7.0.15 answers.
func TestOf(t *testing.T) {
	for key, want := range map[string]int{
		"": 0, "123456789": 12739, "foo": 12182, "{foo}": 12182, "a{foo}b": 12182, "a{foo}{bar}": 12182, "{{foo}": 13308,
		"{}foo": 9500, "foo{": 7673, "a{}b{foo}": 976,
	} {
		if got := Of(key); got != want {
			t.Errorf("%q: got slot %d, want %d", key, got, want)
		}
		if got := Of([]byte(key)); got != want {
			t.Errorf("%q as bytes: got slot %d, want %d", key, got, want)
		}
	}
}
