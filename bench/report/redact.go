package report

import (
	"regexp"
	"strings"

	"redrpc/internal/redact"
)

const secret = `passw|pwd|passphrase|file-pass|secret|token|credential|api[-_]?key|requirepass|masterauth|\b(?:pass|auth)\b`

var (
	// userinfo is what is between the scheme and the host of a URL.
	userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@`)

	// secretName is what the names of secrets have in them.
	secretName = regexp.MustCompile(`(?i)` + secret)

	// assigned is such a name and its value, as in a query, JSON or an environment.
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:` + secret + `)[\w.-]*)(["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'&,;}\])]+)`)
)

// RedactArgs returns the words of a command line with *** in place of passwords: the
// user part of URLs, and the values of flags and variables whose names say that they
// are secret, such as --password X, --auth-token=X and REDIS_PASSWORD=X. A flag that
// names a file of a secret keeps its value.
func RedactArgs(args []string) []string {
	out := make([]string, len(args))
	next := false // this word is the value of a secret flag
	for i, arg := range args {
		name, _, hasValue := strings.Cut(arg, "=")
		switch {
		case next:
			out[i], next = redact.Mask, false
		case strings.HasPrefix(arg, "-") && isSecret(name) && hasValue:
			out[i] = name + "=" + redact.Mask
		case strings.HasPrefix(arg, "-") && isSecret(arg):
			out[i], next = arg, true
		default:
			out[i] = redactText(arg)
		}
	}
	return out
}

// redactFact is the value of a fact of this name.
func redactFact(name, value string) string {
	if isSecret(name) && value != "" {
		return redact.Mask
	}
	return redactText(value)
}

func redactText(text string) string {
	return assigned.ReplaceAllStringFunc(redact.Command(redactURLs(text)), func(found string) string {
		m := assigned.FindStringSubmatch(found)
		if !isSecret(m[1]) {
			return found
		}
		if strings.HasPrefix(m[3], `"`) {
			return m[1] + m[2] + `"` + redact.Mask + `"`
		}
		return m[1] + m[2] + redact.Mask
	})
}

func redactURLs(text string) string { return userinfo.ReplaceAllString(text, "${1}"+redact.Mask+"@") }

func isSecret(name string) bool {
	return secretName.MatchString(name) && !strings.HasSuffix(name, "-file")
}
