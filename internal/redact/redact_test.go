package redact

import "testing"

func TestCommand(t *testing.T) {
	for text, want := range map[string]string{
		"SET k:__key__ __data__":                      "SET k:__key__ __data__",
		"HGET auth token":                             "HGET auth token",
		"AUTH pw":                                     "AUTH ***",
		" auth user 'p w'":                            " auth ***",
		"HELLO 3 AUTH default pw SETNAME x":           "HELLO 3 AUTH ***",
		"config set maxmemory 1 requirepass pw":       "config set maxmemory 1 requirepass ***",
		`CONFIG SET masterauth "p w" requirepass pw2`: "CONFIG SET masterauth *** requirepass ***",
		"CONFIG GET requirepass":                      "CONFIG GET requirepass",
		"ACL SETUSER bob on >pw ~* <pw2 +@all":        "ACL SETUSER bob on >*** ~* <*** +@all",
		"MIGRATE h 1 k 0 10 AUTH2 user pw":            "MIGRATE h 1 k 0 10 AUTH2 ***",
		`["CONFIG SET requirepass pw","GET k"]`:       `["CONFIG SET requirepass ***","GET k"]`,
		`["ACL SETUSER bob >pw","GET k"]`:             `["ACL SETUSER bob >***","GET k"]`,
	} {
		if got := Command(text); got != want {
			t.Errorf("%s: got %s, expected %s", text, got, want)
		}
	}
}
