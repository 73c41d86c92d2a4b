//go:build unix

package broker

// How the commands of each row can end: what the differential test has to see, and
// how it brings it about. What is seen and does not stand here fails the test, too.

// Endings that are no errors.
const (
	endValue  = "value"
	endNull   = "null"
	endQueued = "queued" // by MULTI
	endServed = "served" // with a value, after waiting
	endLate   = "late"   // with a null, after waiting
)

// A failing is a kind of error reply.
type failing struct {
	text string // without ERR; a * stands for what depends on the command

	// how provokes it where endings does not say, as a change of the arguments that
	// the grammar has for the row: "int=noInt" puts one token in the place of
	// another, and "... word" adds some.
	how string
}

// failures are all kinds of error reply by the names that endings has for them.
var failures = map[string]failing{
	// What any row may answer, by its flags and arity.
	"arity":   {"wrong number of arguments for '*' command", ""},
	"noAuth":  {"NOAUTH Authentication required.", ""},
	"context": {"Can't execute '*': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", ""},
	"memory":  {"OOM command not allowed when used memory > 'maxmemory'.", ""},

	"forbidden":        {"NOPERM this user has no permissions to run the '*' command", ""},
	"forbiddenKey":     {"NOPERM this user has no permissions to access one of the keys used as arguments", ""},
	"revoked":          {"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: *", ""},
	"forbiddenChannel": {"NOPERM this user has no permissions to access one of the channels used as arguments", ""},

	// What many rows answer.
	endNull:    {"", "key=missing"}, // is none
	"type":     {"WRONGTYPE Operation against a key holding the wrong kind of value", "key=other"},
	"integer":  {"value is not an integer or out of range", "int=noInt"},
	"int32":    {"value is out of range, value must between -2147483648 and 2147483647", "db=beyond32"},
	"noDB":     {"DB index is out of range", "db=beyondDBs"},
	"positive": {"value is out of range, must be positive", ""},
	"syntax":   {"syntax error", "... word"},
	"noKey":    {"no such key", "key=missing"},
	"expiry":   {"invalid expire time in '*' command", ""},
	"same":     {"source and destination objects are the same", ""},
	"tooLong":  {"string exceeds maximum allowed size (proto-max-bulk-len)", ""},
	"overflow": {"increment or decrement would overflow", ""},
	"name":     {"Client names cannot contain spaces, newlines or special characters.", ""},
	"password": {"WRONGPASS invalid username-password pair or user is disabled.", ""},

	// What is no command.
	"manyArguments": {"Protocol error: unauthenticated multibulk length", ""},
	"longArgument":  {"Protocol error: unauthenticated bulk length", ""},
	"longCount":     {"Protocol error: too big mbulk count string", ""},
	"multibulk":     {"Protocol error: invalid multibulk length", ""},
	"longLength":    {"Protocol error: too big bulk count string", ""},
	"bulk":          {"Protocol error: invalid bulk length", ""},
	"noBulk":        {"Protocol error: expected '$', got '*'", ""},
	"longLine":      {"Protocol error: too big inline request", ""},
	"quotes":        {"Protocol error: unbalanced quotes in request", ""},

	// Of one command, or of those like it.
	"command":      {"unknown command '*', with args beginning with: *", ""},
	"subcommand":   {"unknown subcommand '*'. Try * HELP.", ""},
	"subarity":     {"unknown subcommand or wrong number of arguments for '*'. Try * HELP.", ""},
	"version":      {"Protocol version is not an integer or out of range", ""},
	"protocol":     {"NOPROTO unsupported protocol version", ""},
	"helloOption":  {"Syntax error in HELLO option '*'", ""},
	"helloAuth":    {"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time", ""},
	"noPassword":   {"AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", ""},
	"unblocked":    {"UNBLOCKED client unblocked via CLIENT UNBLOCK", ""},
	"reason":       {"CLIENT UNBLOCK reason should be TIMEOUT or ERROR", ""},
	"pauseMode":    {"CLIENT PAUSE mode must be WRITE or ALL", ""},
	"given":        {"*", ""}, // whatever the client wants
	"noSuchClient": {"No such client", ""},
	"killID":       {"client-id should be greater than 0", ""},
	"noUser":       {"No such user '*'", ""},
	"clientID":     {"Invalid client ID", ""},
	"clientType":   {"Unknown client type '*'", ""},

	"ruleSyntax":     {"Error in ACL SETUSER modifier '*': Syntax error", ""},
	"ruleUnknown":    {"Error in ACL SETUSER modifier '*': Unknown command or category name in ACL", ""},
	"ruleKey":        {"Error in ACL SETUSER modifier '*': Adding a pattern after the * pattern (or the 'allkeys' flag) *", ""},
	"ruleChannel":    {"Error in ACL SETUSER modifier '*': Adding a pattern after the * pattern (or the 'allchannels' flag) *", ""},
	"rulePassword":   {"Error in ACL SETUSER modifier '*': The password you are trying to remove from the user does not exist", ""},
	"ruleHash":       {"Error in ACL SETUSER modifier '*': The password hash must be exactly 64 characters *", ""},
	"ruleFirstArg":   {"Error in ACL SETUSER modifier '*': Allowing first-arg of a subcommand is not supported", ""},
	"unclosed":       {"Unmatched parenthesis in acl selector starting at '*'.", ""},
	"userName":       {"Usernames can't contain spaces or null characters", ""},
	"removeDefault":  {"The 'default' user cannot be removed", ""},
	"unknownUser":    {"User '*' not found", ""},
	"unknownCommand": {"Command '*' not found", ""},
	"category":       {"Unknown category '*'", ""},
	"bits":           {"ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096", ""},
	"noACLFile":      {"This Redis instance is not configured to use an ACL file.*", ""},
	"sortBy":         {"BY option of SORT denied due to insufficient ACL permissions.", ""},
	"sortGet":        {"GET option of SORT denied due to insufficient ACL permissions.", ""},

	"notTracking":     {"CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled", ""},
	"notOptIn":        {"CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.", ""},
	"notOptOut":       {"CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.", ""},
	"noClient":        {"The client ID you want redirect to does not exist", ""},
	"redirects":       {"A client can only redirect to a single other client", ""},
	"prefix":          {"PREFIX option requires BCAST mode to be enabled", ""},
	"optBroadcast":    {"OPTIN and OPTOUT are not compatible with BCAST", ""},
	"bothOpts":        {"You can't specify both OPTIN mode and OPTOUT mode", ""},
	"switchBroadcast": {"You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.", ""},
	"switchOpt":       {"You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.", ""},
	"overlapOld":      {"Prefix '*' overlaps with an existing prefix '*'. Prefixes for a single client must not overlap.", ""},
	"overlapNew":      {"Prefix '*' overlaps with another provided prefix '*'. Prefixes for a single client must not overlap.", ""},

	"invalidCommand": {"Invalid command specified", ""},
	"keyless":        {"The command has no key arguments", ""},
	"commandArity":   {"Invalid number of arguments specified for command", ""},
	"commandKeys":    {"Invalid arguments specified for command", ""},

	"settingPercents":     {"CONFIG SET failed (possibly related to argument '*') - Invalid latency-tracking-info-percentiles parameters", ""},
	"settingPercentRange": {"CONFIG SET failed (possibly related to argument '*') - latency-tracking-info-percentiles parameters should sit between ?0.0,100.0?", ""},
	"settingEvents":       {"CONFIG SET failed (possibly related to argument '*') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.", ""},
	"noFile":              {"The server is running without a config file", ""},
	"setting":             {"Unknown option or number of arguments for CONFIG SET - '*'", ""},
	"immutable":           {"CONFIG SET failed (possibly related to argument '*') - can't set immutable config", ""},
	"duplicate":           {"CONFIG SET failed (possibly related to argument '*') - duplicate parameter", ""},
	"settingInteger":      {"CONFIG SET failed (possibly related to argument '*') - argument couldn't be parsed into an integer", ""},
	"settingRange":        {"CONFIG SET failed (possibly related to argument '*') - argument must be between * and * inclusive", ""},
	"settingMemory":       {"CONFIG SET failed (possibly related to argument '*') - argument must be a memory value", ""},
	"settingYesNo":        {"CONFIG SET failed (possibly related to argument '*') - argument must be 'yes' or 'no'", ""},
	"settingOneOf":        {"CONFIG SET failed (possibly related to argument '*') - argument(s) must be one of the following: *", ""},
	"saveParameters":      {"CONFIG SET failed (possibly related to argument '*') - Invalid save parameters", ""},
	"limitArity":          {"CONFIG SET failed (possibly related to argument '*') - Wrong number of arguments in buffer limit configuration.", ""},
	"limitClass":          {"CONFIG SET failed (possibly related to argument '*') - Invalid client class specified in buffer limit configuration.", ""},
	"limitNumber":         {"CONFIG SET failed (possibly related to argument '*') - Error in hard, soft or soft_seconds setting in buffer limit configuration.", ""},

	"noCluster":      {"This instance has cluster support disabled", ""},
	"noShutdown":     {"No shutdown in progress.", ""},
	"noMulti":        {"Command not allowed inside a transaction", ""},
	"noFrequency":    {"An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.", ""},
	"expireOption":   {"Unsupported option *", ""},
	"notXX":          {"NX and XX, GT or LT options at the same time are not compatible", ""},
	"gtLt":           {"GT and LT options at the same time are not compatible", ""},
	"busyKey":        {"BUSYKEY Target key name already exists.", ""},
	"ttl":            {"Invalid TTL value, must be >= 0", ""},
	"idleTime":       {"Invalid IDLETIME value, must be >= 0", ""},
	"frequency":      {"Invalid FREQ value, must be >= 0 and <= 255", ""},
	"checksum":       {"DUMP payload version or checksum are wrong", ""},
	"format":         {"Bad data format", ""},
	"cursor":         {"invalid cursor", ""},
	"firstDB":        {"invalid first DB index", ""},
	"secondDB":       {"invalid second DB index", ""},
	"waitInteger":    {"timeout is not an integer or out of range", ""},
	"bothLCS":        {"If you want both the length and indexes, please just use IDX.", ""},
	"lcsMemory":      {"Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len", ""},
	"lcsType":        {"The specified keys must contain string values", ""},
	"score":          {"One or more scores can't be converted into double", ""},
	"bitOffset":      {"bit offset is not an integer or out of range", "bit=noBit"},
	"bit":            {"bit is not an integer or out of range", "zeroOne=noBit"},
	"bitArgument":    {"The bit argument must be 1 or 0.", ""},
	"oneSource":      {"BITOP NOT must be called with a single source key.", ""},
	"fieldType":      {"Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.", ""},
	"overflowType":   {"Invalid OVERFLOW type specified", ""},
	"onlyGet":        {"BITFIELD_RO only supports the GET subcommand", ""},
	"timeout":        {"timeout is not a float or out of range", "timeout=noTimeout"},
	"negative":       {"timeout is negative", "timeout=negative"},
	"overflowDown":   {"decrement would overflow", ""},
	"float":          {"value is not a valid float", ""},
	"infinity":       {"increment would produce NaN or Infinity", ""},
	"offset":         {"offset is out of range", ""},
	"outside":        {"index out of range", ""},
	"rank":           {"RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list", ""},
	"countNegative":  {"COUNT can't be negative", ""},
	"maxlenNegative": {"MAXLEN can't be negative", ""},
	"numkeys":        {"numkeys should be greater than 0", ""},
	"count":          {"count should be greater than 0", ""},
	"nested":         {"MULTI calls can not be nested", ""},
	"execAlone":      {"EXEC without MULTI", ""},
	"discardAlone":   {"DISCARD without MULTI", ""},
	"aborted":        {"EXECABORT Transaction discarded because of previous errors.", ""},
	"watchInside":    {"WATCH inside MULTI is not allowed", ""},
	"monitoring":     {"Replica can't interact with the keyspace", ""},
	"denyMonitoring": {"MONITOR isn't allowed for DENY BLOCKING client", ""},
	"slowCount":      {"count should be greater than or equal to -1", ""},
	"noSamples":      {"No samples available for event '*'", ""},
	"denyBlocking":   {"SSUBSCRIBE isn't allowed for a DENY BLOCKING client", ""},
}

// endings lists what else than a value the commands of a row can end in; what
// follows from the row's flags and arity is not repeated, but "never" excludes it.
// After a colon stands a recipe, where that of failures does not do.
//
// A recipe is a rule like those of the grammar. Alternatives may be several
// commands, separated by semicolons: "this" is the row itself, and what begins with
// "other" or "third" is sent by another client. "it" is the key named last, "first"
// the first that "this" has named, and "{me}" the id of the client.
var endings = map[string][]string{
	"unknown": {"command: unknown value*"},

	// What is no command: "raw" sends a word as it is.
	"request": {"manyArguments: CONFIG SET REQUIREPASS thePassword ; RESET ; ECHO 1 2 3 4 5 6 7 8 9 10", "longArgument: CONFIG SET REQUIREPASS thePassword ; RESET ; ECHO 20kB", "longCount: raw longCount",
		"multibulk: raw badCount", "longLength: raw longLength", "bulk: raw badLength", "noBulk: raw noBulk", "longLine: raw longLine", "quotes: raw badQuotes"},

	// Connection.
	"ping":        {"arity: value value"},
	"hello":       {"version: noInt", "protocol: 1 | 4", "helloOption: protocol word", "name: protocol SETNAME badName", "password: protocol AUTH nobody value", "helloAuth: CONFIG SET REQUIREPASS thePassword ; RESET ; this 3 ; AUTH thePassword ; CONFIG SET REQUIREPASS empty"},
	"auth":        {"value: theUser thePassword", "password: nobody value", "noPassword: password", "syntax: user password value"},
	"select":      {"integer: noInt", "int32", "noDB"},
	"acl|cat":     {"value: nothing | LIST", "category: NOSUCH", "subarity: LIST word"},
	"acl|deluser": {"removeDefault: madeUser theUser"},
	"acl|dryrun":  {"value: theUser GET key | carolUser SET key value", "unknownUser: nobody1 GET key", "unknownCommand: theUser unknown"},
	"acl|genpass": {"value: nothing | 5", "integer: noInt", "bits: 0 | 4097 | -1", "subarity: 5 word"},
	"acl|getuser": {"value: theUser", "null: nobody1"},
	"acl|load":    {"never value", "noACLFile: nothing"},
	"acl|log":     {"value: nothing | 1", "integer: noInt", "subarity: 1 word"},
	"acl|save":    {"never value", "noACLFile: nothing"},
	"acl|setuser": {"value: madeUser RESET ON | madeUser ON >SECRET +GET", "ruleSyntax: madeUser FOO", "ruleUnknown: madeUser +NOSUCH | madeUser -@NOSUCH", "ruleKey: madeUser ALLKEYS ~X", "ruleChannel: madeUser ALLCHANNELS &X",
		"rulePassword: madeUser RESETPASS <X", "ruleHash: madeUser #123 | madeUser !123", "ruleFirstArg: madeUser +CLIENT|ID|X", "unclosed: madeUser (+GET", "userName: spacedName"},
	"client|caching":          {"value: CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTIN ; this YES | CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTOUT ; this NO", "syntax: CLIENT TRACKING OFF ; CLIENT TRACKING ON ; this word", "notTracking: CLIENT TRACKING OFF ; this YES", "notOptIn: CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTOUT ; this YES", "notOptOut: CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTIN ; this NO"},
	"client|getname":          {"value: CLIENT SETNAME someName ; this", "null: CLIENT SETNAME empty ; this"},
	"client|kill":             {"value: ID clientID", "noSuchClient: word", "syntax: ID clientID word | ID clientID SKIPME MAYBE", "killID: ID noInt", "noUser: ID clientID USER nobody", "clientType: ID clientID TYPE NOSUCH"},
	"client|no-evict":         {"syntax: word"},
	"client|reply":            {"value: ON", "syntax: word"},
	"client|list":             {"syntax: word | TYPE | ID | TYPE NORMAL word", "clientID: ID noInt", "clientType: TYPE NOSUCH"},
	"client|pause":            {"value: long WRITE", "pauseMode: long word", "waitInteger: noInt WRITE", "negative: -1 WRITE", "subarity: 0 WRITE word"},
	"client|setname":          {"name: badName"},
	"client|tracking":         {"syntax: ON word | word | ON REDIRECT | ON PREFIX", "integer: ON REDIRECT noInt", "noClient: ON REDIRECT 99999999999", "redirects: ON REDIRECT {a} REDIRECT {b}", "prefix: ON PREFIX prefix", "optBroadcast: CLIENT TRACKING OFF ; this ON BCAST optMode OPTOUT", "bothOpts: CLIENT TRACKING OFF ; this ON OPTIN OPTOUT", "switchBroadcast: CLIENT TRACKING OFF ; CLIENT TRACKING ON ; this ON BCAST | CLIENT TRACKING OFF ; CLIENT TRACKING ON BCAST ; this ON", "switchOpt: CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTIN ; this ON OPTOUT | CLIENT TRACKING OFF ; CLIENT TRACKING ON OPTOUT ; this ON OPTIN", "overlapOld: CLIENT TRACKING OFF ; CLIENT TRACKING ON BCAST PREFIX longPrefix ; this ON BCAST PREFIX shortPrefix", "overlapNew: CLIENT TRACKING OFF ; this ON BCAST PREFIX longPrefix PREFIX shortPrefix"},
	"client|unblock":          {"integer: noInt", "reason: clientID word", "subarity: clientID ERROR word"},
	"command":                 {"value: nothing"},
	"command|getkeys":         {"value: GET key | MSET pair+ | LMPOP 2 key key LEFT | BLPOP key+ 0", "invalidCommand: unknown value*", "keyless: PING | SELECT 0", "commandArity: GET | LSET key", "commandKeys: LMPOP 5 key LEFT | BLMPOP 0 0 key LEFT"},
	"command|getkeysandflags": {"value: GET key | MSET pair+ | LMPOP 2 key key LEFT | BLPOP key+ 0", "invalidCommand: unknown value*", "keyless: PING | SELECT 0", "commandArity: GET | LSET key", "commandKeys: LMPOP 5 key LEFT | BLMPOP 0 0 key LEFT"},
	"debug":                   {"value: SLEEP noTime | LOG value | HELP", "subarity: SLEEP | unknownSub value", "given: ERROR value"},
	"config|rewrite":          {"never value", "noFile: nothing"},
	"lolwut":                  {"integer: VERSION noInt"},
	"shutdown":                {"never value", "never memory", "syntax: word | ABORT NOW | SAVE NOSAVE", "noShutdown: ABORT", "noMulti: MULTI ; this ABORT ; DISCARD"},
	"memory|usage":            {"null", "syntax: key word | key SAMPLES", "integer: key SAMPLES noInt"},
	"command|list":            {"syntax"},
	"config|set":              {"value: TIMEOUT 100000 | MAXCLIENTS 9000 | PROTO-MAX-BULK-LEN 536870912 | TRACKING-TABLE-MAX-KEYS 9000", "syntax: TIMEOUT 0 MAXCLIENTS", "setting: NOSUCH value", "immutable: DATABASES 16 | CLUSTER-ENABLED NO", "duplicate: TIMEOUT 0 TIMEOUT 0", "settingInteger: TIMEOUT noInt | MAXCLIENTS noInt", "settingRange: TIMEOUT -1 | MAXCLIENTS 0 | PROTO-MAX-BULK-LEN 1 | TIMEOUT 2147483648", "settingMemory: MAXMEMORY noMemory | PROTO-MAX-BULK-LEN noMemory", "settingYesNo: APPENDONLY MAYBE", "settingOneOf: MAXMEMORY-POLICY NOSUCH", "saveParameters: SAVE X", "settingPercents: LATENCY-TRACKING-INFO-PERCENTILES X", "settingPercentRange: LATENCY-TRACKING-INFO-PERCENTILES 101", "settingEvents: NOTIFY-KEYSPACE-EVENTS KQ", "limitArity: CLIENT-OUTPUT-BUFFER-LIMIT 2Words", "limitClass: CLIENT-OUTPUT-BUFFER-LIMIT noClass", "limitNumber: CLIENT-OUTPUT-BUFFER-LIMIT noLimit"},
	"slowlog|get":             {"value: nothing | 1", "slowCount: -2 | noInt", "subarity: 1 word"},
	"latency|graph":           {"never value", "noSamples: event"},
	"monitor":                 {"denyMonitoring: MULTI ; this ; EXEC"},
	"flushdb":                 {"syntax: word"},
	"flushall":                {"syntax: word"},
	"swapdb":                  {"firstDB: noInt db | beyond32 db", "secondDB: db noInt | db beyond32", "noDB"},

	// Keys.
	"expire":    {"integer: key noInt", "expiry: key 9223372036854775807", "expireOption: key seconds word", "notXX: key seconds NX XX | key seconds LT NX", "gtLt: key seconds GT LT"},
	"pexpire":   {"integer: key noInt", "expiry: key 9223372036854775807", "expireOption: key milliseconds word", "notXX: key milliseconds NX XX | key milliseconds LT NX", "gtLt: key milliseconds GT LT"},
	"expireat":  {"integer: key noInt", "expiry: key 9223372036854775807", "expireOption: key atSecond word", "notXX: key atSecond NX XX | key atSecond LT NX", "gtLt: key atSecond GT LT"},
	"pexpireat": {"integer: key noInt", "expireOption: key atMillisecond word", "notXX: key atMillisecond NX XX | key atMillisecond LT NX", "gtLt: key atMillisecond GT LT"},
	"dump":      {"null"},
	"restore":   {"value: missing 0 payload", "busyKey: own 0 payload", "ttl: missing -1 payload", "integer: missing noInt payload | missing 0 payload IDLETIME noInt | missing 0 payload FREQ noInt", "syntax: missing 0 payload word", "idleTime: missing 0 payload IDLETIME -1", "frequency: missing 0 payload FREQ 256", "checksum: missing 0 value", "format: missing 0 badPayload"},
	"rename":    {"noKey: missing key"},
	"renamenx":  {"noKey: missing key"},
	"copy":      {"same: key it", "syntax", "integer: key key DB noInt", "int32: key key DB beyond32", "noDB: key key DB beyondDBs"},
	"move":      {"value: SELECT 0 ; this key 1", "same: SELECT 0 ; this key 0", "integer: key noInt", "int32", "noDB"},
	"randomkey": {"value: SET key value ; this", "null: FLUSHDB ; this"},
	"wait":      {"value: 0 1 | 1 2", "integer: noInt 1", "waitInteger: 0 noInt", "negative: 0 -1"},
	"scan":      {"syntax: cursor word | cursor COUNT 0", "integer: cursor COUNT noInt", "cursor: X"},

	"object|encoding": {"null"},
	"object|freq":     {"never value", "null", "noFrequency: own"},
	"object|idletime": {"null"},
	"object|refcount": {"null"},

	// Strings.
	"set":         {"null: own value NX | missing value XX", "type: other value GET", "syntax: key value NX XX | key value word | key value EX | key value KEEPTTL EX 100 ", "integer: key value EX noInt", "expiry: key value EX 0 | key value PX -1"},
	"get":         {"null", "type"},
	"getdel":      {"null", "type"},
	"getex":       {"null", "type", "syntax", "integer: string EX noInt", "expiry: string PX 0"},
	"setex":       {"integer: key noInt value", "expiry: key 0 value"},
	"psetex":      {"integer: key noInt value", "expiry: key 0 value"},
	"getset":      {"null", "type"},
	"incr":        {"value: number", "type", "integer: noNumber", "overflow: SET key 9223372036854775807 ; this it"},
	"decr":        {"value: number", "type", "integer: noNumber", "overflow: SET key -9223372036854775808 ; this it"},
	"incrby":      {"value: number small", "type", "integer: noNumber small | number noInt", "overflow: SET key 9223372036854775807 ; this it 5"},
	"decrby":      {"value: number small", "type", "integer: noNumber small | number noInt", "overflow: SET key 9223372036854775807 ; this it -5", "overflowDown: key -9223372036854775808"},
	"incrbyfloat": {"value: number goodFloat", "type", "float: noNumber goodFloat | number noFloat", "infinity: SET key 1E4000 ; this it 1E4932 | key INF"},
	"getrange":    {"type", "integer"},
	"substr":      {"type", "integer"},
	"setrange":    {"type: other 0 value", "integer: key noInt value", "offset: key -1 value", "tooLong: key 536870912 value"},
	"append":      {"type", "tooLong: CONFIG SET PROTO-MAX-BULK-LEN 1048576 ; SETRANGE missing 1048575 X ; this it X ; DEL it ; CONFIG SET PROTO-MAX-BULK-LEN 536870912"},
	"lcs":         {"lcsMemory: CONFIG SET PROTO-MAX-BULK-LEN 1048576 ; SETRANGE missing 599 X ; this it it ; CONFIG SET PROTO-MAX-BULK-LEN 536870912", "bothLCS: key key LEN IDX", "lcsType: other key | key other", "syntax: key key word | key key MINMATCHLEN", "integer: key key MINMATCHLEN noInt"},
	"sort":        {"type: string", "sortBy: AUTH carolUser X ; this listOf BY weightPattern ; RESET", "sortGet: AUTH carolUser X ; this listOf GET # ; RESET", "syntax: list word | list LIMIT 0 | list BY", "integer: list LIMIT noInt 0", "score: DEL key ; RPUSH it A 1 ; this it"},
	"sort_ro":     {"type: string", "sortBy: AUTH carolUser X ; this listOf BY weightPattern ; RESET", "sortGet: AUTH carolUser X ; this listOf GET # ; RESET", "syntax: list word | list STORE key", "integer: list LIMIT 0 noInt", "score: DEL key ; RPUSH it A 1 ; this it"},
	"strlen":      {"type"},

	// Bits of strings.
	"getbit":   {"type", "bitOffset"},
	"setbit":   {"type", "bitOffset", "bit"},
	"bitcount": {"type: list | list 0 1", "integer: string noInt 1 | string 0 noInt", "syntax: string 0 | string 0 1 word"},
	"bitpos":   {"type", "integer: key noInt | string 1 noInt | string 1 0 noInt", "bitArgument: key 2 | key -1", "syntax: string 1 0 1 word | string 1 0 1 BIT word"},
	"bitop":    {"type: AND own list | NOT own list | XOR own string list", "syntax: word own string", "oneSource: NOT own string string"},
	"bitfield": {"type: list GET someType 0 | list SET someType 0 1", "syntax: key word | key GET someType", "integer: key SET someType 0 noInt", "bitOffset: key GET someType noBit",
		"fieldType: key GET noType 0 | key SET noType 0 1", "overflowType: key OVERFLOW word"},
	"bitfield_ro": {"value: key fieldRead+", "type: list GET someType 0", "syntax: key word | key GET someType", "integer: key SET someType 0 noInt", "bitOffset: key GET someType noBit", "fieldType: key GET noType 0",
		"overflowType: key OVERFLOW word", "onlyGet: key SET someType 0 1 | key GET someType 0 INCRBY someType 0 1"},

	// Lists.
	"lpush":      {"type"},
	"rpush":      {"type"},
	"lpushx":     {"type"},
	"rpushx":     {"type"},
	"lpop":       {"value: list | list positive", "null", "type", "positive: list noCount"},
	"rpop":       {"value: list | list positive", "null", "type", "positive: list noCount"},
	"llen":       {"type"},
	"lrange":     {"type", "integer"},
	"lindex":     {"value: list 0", "null: missing 0", "type", "integer: list noInt"},
	"lset":       {"value: list 0 value | list -1 value", "type", "noKey", "integer: list noInt value", "outside: list 5000 value | list -5000 value"},
	"lrem":       {"type", "integer"},
	"ltrim":      {"type", "integer"},
	"linsert":    {"type", "syntax: key word value value"},
	"lpos":       {"value: DEL key ; RPUSH it value ; this it value COUNT 0 | DEL key ; RPUSH it A A A B A ; this it A RANK positive COUNT 0", "null: missing value", "type", "syntax: key value word | key value RANK", "integer: key value RANK noInt | key value COUNT noInt", "rank: key value RANK 0", "countNegative: key value COUNT -1", "maxlenNegative: key value MAXLEN -1"},
	"lmove":      {"value: list own end end", "null: missing own end end", "type: string own end end | list string end end", "syntax: list own word end | list own end word"},
	"rpoplpush":  {"value: list own", "null: missing own", "type: string own | list string"},
	"lmpop":      {"value: 1 list end", "null: 1 missing end", "type: 1 string end", "syntax: 1 list word | 1 list end word | 5 list end | 1 list end COUNT | 1 list end COUNT 2 word", "numkeys: noCount list end", "count: 1 list end COUNT noCount"},
	"blpop":      {"value: list 0", "served: missing 0 ; other RPUSH it value", "late: missing soon | missing 0 ; other CLIENT UNBLOCK {me}", "null: MULTI ; this missing 0 ; EXEC", "type: string 0", "timeout", "negative", "unblocked: missing 0 ; other CLIENT UNBLOCK {me} ERROR"},
	"brpop":      {"value: list 0", "served: missing 0 ; other RPUSH it value", "late: missing soon | missing 0 ; other CLIENT UNBLOCK {me}", "null: MULTI ; this missing 0 ; EXEC", "type: string 0", "timeout", "negative", "unblocked: missing 0 ; other CLIENT UNBLOCK {me} ERROR"},
	"blmove":     {"value: list own end end 0", "served: missing own end end 0 ; other RPUSH first value", "late: missing own end end soon | missing own end end 0 ; other CLIENT UNBLOCK {me}", "null: MULTI ; this missing own end end 0 ; EXEC", "type: string own end end 0 | list string end end 0", "syntax: list own word end 0 | list own end word 0", "timeout", "negative", "unblocked: missing own end end 0 ; other CLIENT UNBLOCK {me} ERROR"},
	"brpoplpush": {"value: list own 0", "served: missing own 0 ; other RPUSH first value", "late: missing own soon | missing own 0 ; other CLIENT UNBLOCK {me}", "null: MULTI ; this missing own 0 ; EXEC", "type: string own 0 | list string 0", "timeout", "negative", "unblocked: missing own 0 ; other CLIENT UNBLOCK {me} ERROR"},
	"blmpop":     {"value: 0 1 list end", "served: 0 1 missing end ; other RPUSH it value", "late: soon 1 missing end | 0 1 missing end ; other CLIENT UNBLOCK {me}", "null: MULTI ; this 0 1 missing end ; EXEC", "type: 0 1 string end", "syntax: 0 1 list word | 0 1 list end word | 0 5 list end", "timeout", "negative", "numkeys: 0 noCount list end", "count: 0 1 list end COUNT noCount", "unblocked: 0 1 missing end ; other CLIENT UNBLOCK {me} ERROR"},

	// Transactions.
	"multi":   {"nested: MULTI ; this"},
	"exec":    {"value: MULTI ; PING ; this", "null: WATCH key ; other SET it value ; MULTI ; this", "execAlone: nothing", "aborted: MULTI ; NOSUCH ; this", "memory: MULTI ; SET key value ; other CONFIG SET MAXMEMORY 1 ; this ; other CONFIG SET MAXMEMORY 0"},
	"discard": {"value: MULTI ; this", "discardAlone: nothing"},
	"watch":   {"watchInside: MULTI ; this key"},

	// Pub/Sub.
	"pubsub|channels":      {"subarity: pattern word"},
	"pubsub|shardchannels": {"subarity: pattern word"},
	"ssubscribe":           {"denyBlocking: MULTI ; this channel ; EXEC"},

	// Cluster.
	"cluster|addslots":              {"never value", "noCluster: value value*"},
	"cluster|addslotsrange":         {"never value", "noCluster: value value value*"},
	"cluster|bumpepoch":             {"never value", "noCluster: nothing"},
	"cluster|count-failure-reports": {"never value", "noCluster: value"},
	"cluster|countkeysinslot":       {"never value", "noCluster: value"},
	"cluster|delslots":              {"never value", "noCluster: value value*"},
	"cluster|delslotsrange":         {"never value", "noCluster: value value value*"},
	"cluster|failover":              {"never value", "noCluster: value*"},
	"cluster|flushslots":            {"never value", "noCluster: nothing"},
	"cluster|forget":                {"never value", "noCluster: value"},
	"cluster|getkeysinslot":         {"never value", "noCluster: value value"},
	"cluster|help":                  {"never value", "noCluster: nothing"},
	"cluster|info":                  {"never value", "noCluster: nothing"},
	"cluster|keyslot":               {"never value", "noCluster: value"},
	"cluster|links":                 {"never value", "noCluster: nothing"},
	"cluster|meet":                  {"never value", "noCluster: value value value*"},
	"cluster|myid":                  {"never value", "noCluster: nothing"},
	"cluster|nodes":                 {"never value", "noCluster: nothing"},
	"cluster|replicas":              {"never value", "noCluster: value"},
	"cluster|replicate":             {"never value", "noCluster: value"},
	"cluster|reset":                 {"never value", "noCluster: value*"},
	"cluster|saveconfig":            {"never value", "noCluster: nothing"},
	"cluster|set-config-epoch":      {"never value", "noCluster: value"},
	"cluster|setslot":               {"never value", "noCluster: value value value*"},
	"cluster|shards":                {"never value", "noCluster: nothing"},
	"cluster|slaves":                {"never value", "noCluster: value"},
	"cluster|slots":                 {"never value", "noCluster: nothing"},
	"asking":                        {"never value", "noCluster: nothing"},
	"readonly":                      {"never value", "noCluster: nothing"},
	"readwrite":                     {"never value", "noCluster: nothing"},
}
