// Package redact takes the passwords out of commands of Redis that people have written.
package redact

import "regexp"

// Mask is in place of a password.
const Mask = "***"

var (
	// auth is AUTH with all that follows, setting a setting with its value.
	auth    = regexp.MustCompile(`(?i)^(\s*auth)\s.*`)
	setting = regexp.MustCompile(`(?i)\b(requirepass|masterauth|masteruser|tls-(?:client-)?key-file-pass)\s+("(?:[^"\\]|\\.)*"|[^\s"\\]+)`)

	// authenticated are the words that HELLO and MIGRATE have behind AUTH.
	authenticated = regexp.MustCompile(`(?i)\b((?:hello|migrate)\s[^"]*\sauth2?)\s[^"]*`)

	// user is an ACL SETUSER, and added a password in its rules.
	user  = regexp.MustCompile(`(?i)\bsetuser\s[^"]*`)
	added = regexp.MustCompile(`\s([<>])[^\s"]+`)
)

// Command is the text of a command, also within other text, with *** for its passwords.
func Command(text string) string {
	text = auth.ReplaceAllString(text, "${1} "+Mask)
	text = setting.ReplaceAllString(text, "${1} "+Mask)
	text = authenticated.ReplaceAllString(text, "${1} "+Mask)
	return user.ReplaceAllStringFunc(text, func(rules string) string {
		return added.ReplaceAllString(rules, " ${1}"+Mask)
	})
}
