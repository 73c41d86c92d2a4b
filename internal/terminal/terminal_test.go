package terminal

import (
	"encoding/json"
	"testing"
)

func TestJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"é<&>"}`:           `{"a":"é<&>"}`,
		"\"\u009b2J\"":           `"\u009b2J"`,
		"\"\u202e \x7f\"":        `"\u202e \u007f"`,
		"\"\xff\"":               "\"\uFFFD\"",
		"{\n  \"a\": \"\\n\"\n}": "{\n  \"a\": \"\\n\"\n}",
	} {
		got := JSON([]byte(text))
		if string(got) != want || !json.Valid(got) {
			t.Errorf("%q: got %q, expected %q", text, got, want)
		}
	}
}
