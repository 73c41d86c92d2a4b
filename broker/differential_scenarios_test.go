//go:build unix

package broker

// scenarios are recipes (see endings) for what random commands seldom lead to: what several
// clients have to do in some order. "any" is a command at random, and "close" ends a
// connection.
var scenarios = []string{
	// What a transaction depends on is changed by others, in another way, or not at all.
	"WATCH key ; other any ; other any ; MULTI ; any ; EXEC",
	"WATCH own own ; other FLUSHALL ; MULTI ; any ; EXEC | SELECT 1 ; WATCH own ; other FLUSHDB ; MULTI ; any ; EXEC",
	"WATCH own ; other SWAPDB 0 1 ; MULTI ; any ; EXEC | WATCH key ; other SELECT 1 ; other SET it value ; other SWAPDB 1 0 ; MULTI ; any ; EXEC",
	"WATCH own ; other MOVE it 1 ; MULTI ; any ; EXEC | SELECT 1 ; WATCH key ; other SET it value ; other MOVE it 1 ; MULTI ; any ; EXEC",
	"WATCH missing ; other RENAME own first ; MULTI ; any ; EXEC | WATCH own ; other RENAME it key ; MULTI ; any ; EXEC",
	"WATCH missing ; other COPY own first ; MULTI ; any ; EXEC | WATCH key ; other DEL it ; UNWATCH ; MULTI ; any ; EXEC",
	"WATCH key ; MULTI ; SET it value ; EXEC ; MULTI ; any ; EXEC | WATCH key ; any ; MULTI ; any ; EXEC",
	"SET key value PX 150 ; WATCH it ; PING ; other PING ; MULTI ; any ; EXEC | WATCH missing ; SET it value PX brief ; other PING ; MULTI ; any ; EXEC",
	"WATCH key ; other MULTI ; other SET it value ; other DISCARD ; MULTI ; any ; EXEC | WATCH missing ; other BLPOP it 0 ; third RPUSH it value ; MULTI ; any ; EXEC",

	// Who waits is served by the first push, the last key, another command, or not yet.
	"BLPOP missing missing 0 ; other BRPOP it first 0 ; third MULTI ; third RPUSH first value+ ; third LPUSH it value+ ; third any ; third EXEC",
	"BLPOP missing 0 ; other BLMOVE it it end end 0 ; third RPUSH it value value ; third any",
	"BLMOVE missing key end end 0 ; other BLPOP it 0 ; third RPUSH first value value+",
	"BLMPOP 0 2 missing key end COUNT positive ; other BLPOP first 0 ; third MULTI ; third RPUSH first value+ ; third LPOP first ; third EXEC",
	"BLPOP missing 0 ; other MULTI ; other RPUSH first value ; other DEL first ; other EXEC ; other RPUSH first value",
	"BLPOP missing 0 ; other MULTI ; other SET first value ; other any ; other EXEC ; other DEL first ; other RPUSH first value",
	"BLPOP missing 0 ; any ; any ; other RPUSH first value | BLMOVE missing string end end 0 ; PING ; other RPUSH first value",
	"BLPOP missing 0 ; other RENAME list first | BLMPOP 0 1 missing end ; other COPY list first | BRPOP missing 0 ; other SORT list ALPHA STORE first",
	"BLPOP missing 0 ; other RESTORE first 0 payload | BLPOP missing 0 ; other RPOPLPUSH list first | BLPOP missing 0 ; other LMOVE list first end end",
	"SELECT 1 ; BLPOP missing 0 ; other RPUSH first value ; other SWAPDB 0 1 | SELECT 1 ; BLPOP missing 0 ; other RPUSH first value ; other MOVE first 1",
	"BLPOP missing 0 ; other SELECT 1 ; other RPUSH first value+ ; other SWAPDB 1 0 ; other RPUSH first value ; other SELECT 0 ; other RPUSH first value",
	"BLPOP missing 0 ; other BLPOP it 0 ; close ; third RPUSH it value",
	"BLPOP missing missing 0 ; other FLUSHALL ; other RPUSH first value ; other LLEN first",
	"MULTI ; BLPOP list 0 ; BLMOVE missing list end end soon ; any ; EXEC | BLPOP missing soon ; any ; other any",
	"BLMOVE missing own end end 0 ; other CLIENT TRACKING ON BCAST ; third RPUSH first value | CLIENT PAUSE long WRITE ; other BLPOP missing soon ; third RPUSH it value ; CLIENT UNPAUSE",

	// The same for sorted sets.
	"BZPOPMIN missing missing 0 ; other BZPOPMAX it first 0 ; third MULTI ; third ZADD first goodScored+ ; third ZADD it goodScored+ ; third any ; third EXEC",
	"BZMPOP 0 2 missing key extreme COUNT positive ; other BZPOPMIN first 0 ; third ZADD first goodScored+ ; third any",
	"BZPOPMIN missing 0 ; other BLPOP it 0 ; third RPUSH it value ; third ZADD it goodScored ; third DEL it ; third ZADD it goodScored ; third RPUSH it value",
	"BLPOP missing 0 ; other BZPOPMAX it 0 ; third MULTI ; third ZADD it goodScored ; third DEL it ; third RPUSH it value ; third EXEC ; third ZADD it goodScored+",
	"BZPOPMAX missing 0 ; other RENAME zset first | BZMPOP 0 1 missing extreme ; other COPY zset first | BZPOPMIN missing 0 ; other ZUNIONSTORE first 2 zset own | BZPOPMIN missing 0 ; other ZRANGESTORE first zset 0 -1",
	"BZPOPMIN missing 0 ; other ZINTERSTORE first 1 zset ; other ZDIFFSTORE first 1 zset ; any | BZPOPMAX missing 0 ; other RESTORE first 0 payload | BZPOPMIN missing 0 ; other SET first value ; other ZUNIONSTORE first 1 zset",
	"BZPOPMIN missing 0 ; other BZPOPMAX it 0 ; close ; third ZADD it goodScored | SELECT 1 ; BZPOPMIN missing 0 ; other ZADD first goodScored ; other SWAPDB 0 1",
	"MULTI ; BZPOPMIN zset 0 ; BZMPOP 0 1 missing extreme ; any ; EXEC | WATCH zset ; other ZPOPMIN it ; MULTI ; any ; EXEC | WATCH zset ; other ZADD it XX goodScored ; MULTI ; any ; EXEC",

	// Places and HyperLogLogs.
	"BZPOPMIN missing 0 ; other GEOADD first goodPlaced+ ; GEOPOS first value | GEOADD missing goodPlaced goodPlaced aMember ; BZPOPMAX missing 0 ; other GEORADIUSBYMEMBER it aMember 500 KM STORE first",
	"WATCH zset ; other GEOSEARCHSTORE it it FROMLONLAT goodLongitude goodLatitude BYRADIUS goodRadius KM ; MULTI ; any ; EXEC | GEOADD missing goodPlaced+ ; ZADD it goodScored ; GEOSEARCH it FROMLONLAT goodLongitude goodLatitude BYRADIUS INF M ; SORT it ALPHA ; GEOSEARCH it FROMLONLAT goodLongitude goodLatitude BYBOX goodRadius goodRadius KM COUNT 2 DESC ; DUMP it",
	"PFADD missing value+ ; WATCH it ; other PFCOUNT it ; MULTI ; any ; EXEC | PFADD missing value+ ; PFMERGE key it ; GET it ; PFDEBUG GETREG it ; PFCOUNT it ; PFADD it value ; PFMERGE key it ; GET it",
	"CONFIG SET HLL-SPARSE-MAX-BYTES few ; PFADD missing value+ ; PFADD it value+ ; PFDEBUG ENCODING it ; GET it ; COPY it key REPLACE ; PFADD it value ; PFDEBUG DECODE it ; PFCOUNT it key ; CONFIG SET HLL-SPARSE-MAX-BYTES 3000",

	// Streams: who reads gets all, who is of a group its share; a group goes, or the stream.
	"XREAD BLOCK 0 STREAMS missing missing 0 0 ; other XREAD BLOCK 0 COUNT 1 STREAMS it first $ $ ; third MULTI ; third XADD first newID fieldValue ; third XADD it newID fieldValue ; third any ; third EXEC ; third XADD it newID fieldValue",
	"XREAD BLOCK 0 STREAMS missing 0 ; other BLPOP it 0 ; third RPUSH it value ; third DEL it ; third XADD it newID fieldValue ; third any | XREAD BLOCK 0 STREAMS missing 0 ; other SET it value ; other DEL it ; other XADD it newID fieldValue",
	"XREAD BLOCK 0 STREAMS missing 0 ; other RENAME stream first | XREAD BLOCK 0 STREAMS missing 0 ; other COPY stream first | SELECT 1 ; XREAD BLOCK 0 STREAMS missing 0 ; other XADD first newID fieldValue ; other SWAPDB 0 1 | XREAD BLOCK 0 STREAMS missing 0 ; close ; other XADD first newID fieldValue",
	"XREAD BLOCK 0 STREAMS stream $ ; other MULTI ; other XADD it newID fieldValue ; other XTRIM it MAXLEN 0 ; other EXEC ; other XADD it newID fieldValue",
	"XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; third XADD it newID fieldValue ; third any ; third XADD it newID fieldValue ; third XPENDING it theGroup",
	"XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; third MULTI ; third XADD it newID fieldValue ; third XGROUP DESTROY it theGroup ; third EXEC | XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other XGROUP SETID it theGroup 0 ; other XADD it newID fieldValue ; other any",
	"XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other RENAME it key ; any | XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other FLUSHALL ; any | XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other SWAPDB 0 1 ; any ; other SWAPDB 0 1 | XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other MULTI ; other DEL it ; other any ; other XADD it newID fieldValue ; other EXEC",
	"XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; close ; other XADD it newID fieldValue ; other XINFO GROUPS it ; other XPENDING it theGroup | XGROUP CREATE missing theGroup $ MKSTREAM ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other RESTORE it 0 payload REPLACE | XGROUP CREATE missing theGroup $ MKSTREAM ; PEXPIRE it brief ; XREADGROUP GROUP theGroup consumer BLOCK 0 STREAMS it newest ; other PING ; other any",
	"WATCH stream ; other XADD it newID fieldValue ; MULTI ; any ; EXEC | WATCH stream ; other XGROUP CREATE it group 0 ; other XREADGROUP GROUP theGroup consumer STREAMS it newest ; MULTI ; any ; EXEC | WATCH stream ; other XTRIM it MAXLEN 0 ; MULTI ; any ; EXEC",
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON ; XRANGE stream least greatest ; XINFO STREAM it ; other XADD it newID fieldValue ; XREAD STREAMS it 0 ; other XGROUP CREATE it theGroup 0 ; other XREADGROUP GROUP theGroup consumer STREAMS it newest ; other XDEL it entryID+",

	// Streams of several nodes, of which parts go.
	"CONFIG SET STREAM-NODE-MAX-ENTRIES 2 ; XADD missing newID fieldValue ; XADD it newID fieldValue ; XADD it newID fieldValue ; XADD it newID fieldValue ; XDEL it entryID+ ; XTRIM it trimOption ; XADD it trimOption newID fieldValue ; XINFO STREAM it FULL ; DUMP it ; COPY it key REPLACE ; XREVRANGE it greatest least ; CONFIG SET STREAM-NODE-MAX-ENTRIES 100",
	"XADD missing newID fieldValue ; XADD it newID fieldValue+ ; XGROUP CREATE it theGroup 0 ; XREADGROUP GROUP theGroup consumer COUNT 1 STREAMS it newest ; XDEL it entryID+ ; XINFO GROUPS it ; XADD it newID huge huge ; XREADGROUP GROUP theGroup consumer STREAMS it newest ; XINFO GROUPS it ; XTRIM it trimOption ; XINFO STREAM it FULL",
	"XADD missing newID fieldValue ; XADD it newID fieldValue ; XGROUP CREATE it theGroup 0 ; XREADGROUP GROUP theGroup consumer STREAMS it newest ; XDEL it entryID ; XCLAIM it theGroup consumer 0 entryID entryID FORCE ; XAUTOCLAIM it theGroup consumer 0 least COUNT 1 ; XREADGROUP GROUP theGroup consumer STREAMS it 0 ; DUMP it ; RENAME it key ; XACK it theGroup entryID+ ; XPENDING it theGroup",

	// Sorted sets that grow large, and are made anew.
	"CONFIG SET ZSET-MAX-LISTPACK-ENTRIES 2 ; ZADD key goodScored goodScored goodScored ; ZADD it goodScored+ ; ZREM it value ; OBJECT ENCODING it ; ZRANGESTORE it it 0 1 ; OBJECT ENCODING it ; DUMP it ; CONFIG SET ZSET-MAX-LISTPACK-ENTRIES 128",
	"ZADD missing 1 huge 1 huge 1 value 1 value ; ZRANGE it 0 -1 WITHSCORES ; ZRANGEBYLEX it lexBound lexBound ; ZUNIONSTORE it 1 it ; DUMP it ; COPY it key REPLACE ; ZREMRANGEBYLEX it lexBound lexBound",
	"ZADD missing goodScored+ ; SORT it ALPHA ; OBJECT ENCODING it ; DUMP it ; SORT it BY NOSORT sortOption ; ZINCRBY it goodScored ; ZSCAN it 0 COUNT 1000 ; ZRANK it value ; ZREVRANK it value",

	"BLPOP missing missing first 0 ; other RPUSH first value | BLPOP missing first first 0 ; close ; other RPUSH first value",
	"MULTI ; SET key value ; any ; other CLIENT PAUSE long WRITE ; EXEC ; other any ; other CLIENT UNPAUSE | CLIENT PAUSE long WRITE ; MULTI ; any ; EXEC ; other CLIENT UNPAUSE",

	// Long lists, of which a part is looked at, changed or taken away.
	"RPUSH key huge huge huge huge huge ; LPUSH it huge huge value huge ; LINSERT it place value huge ; LSET it int huge ; LREM it int value ; LRANGE it 0 -1",
	"RPUSH key huge huge value huge huge ; LPUSH it huge value huge ; LPOS it value RANK int COUNT 0 ; LINDEX it int ; LTRIM it int int ; LPOP it positive ; LRANGE it 0 -1",
	"LPUSH missing huge huge huge huge ; RPUSH it huge huge ; LMOVE it it end end ; DUMP it ; RPOP it positive ; LREM it int huge ; COPY it key REPLACE ; SORT it ALPHA",

	// Keys have an end, which moves with them.
	"SET key value EX seconds ; COPY it key REPLACE ; RENAME it key ; PTTL it | SET key value EX seconds ; GETEX it PERSIST ; TTL it | RESTORE key milliseconds payload REPLACE IDLETIME positive ; OBJECT IDLETIME it",
	"SET key value ; EXPIRE it seconds expireOption? ; SWAPDB 0 1 ; PEXPIREAT it atMillisecond expireOption? ; MOVE it 1 ; EXPIRETIME it | SET key value EX seconds ; SET it value setOption ; TTL it ; APPEND it value ; TTL it",
	"PUNSUBSCRIBE ; UNSUBSCRIBE ; SET key value PX 150 ; CLIENT PAUSE long WRITE ; other GET it ; other EXISTS it ; other SCAN 0 COUNT 1000 ; CLIENT UNPAUSE ; other DBSIZE",

	// Sorted by other keys, and compared.
	"RPUSH missing 2 1 3 ; SET userKey small ; SET userKey value ; SORT first BY userWeight GET userWeight GET # | RPUSH missing 2 1 3 ; SET userKey small ; SORT_RO first BY userWeight DESC GET userWeight GET sortOption",
	"SET own text1 ; SET missing text2 ; LCS first it lcsOption? ; LCS it first IDX WITHMATCHLEN MINMATCHLEN positive",

	// Keys end.
	"SET key value PX brief ; any | RPUSH missing value+ ; PEXPIRE it brief ; other LLEN first | SET key value ; GETEX it PX brief ; other any",
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON BCAST ; other SET key value PX brief ; any",
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON ; SET key value PX 150 ; GET it ; other any",
	"MULTI ; SET key value PX brief ; any ; EXEC ; other any | SELECT 1 ; SET key value PX brief ; other SWAPDB 0 1",

	// Who tracks is told, by whom and through whom.
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON optMode? ; CLIENT CACHING YES ; any ; GET key ; other any ; other SET it value ; other SET it value",
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON OPTIN ; CLIENT CACHING YES ; MULTI ; GET key ; LLEN key ; EXEC ; other SET it value ; other any",
	"CLIENT TRACKING OFF ; CLIENT TRACKING ON BCAST PREFIX prefix NOLOOP ; any ; other any ; other MULTI ; other SET key value ; other SET it value ; other EXEC",
	"CLIENT TRACKING OFF ; other HELLO 2 ; other SUBSCRIBE invalidations ; CLIENT TRACKING ON REDIRECT {other} ; GET key ; third SET it value ; third FLUSHALL",
	"CLIENT TRACKING OFF ; HELLO someProtocol ; other HELLO 3 ; CLIENT TRACKING ON REDIRECT {other} ; GET key ; third SET it value ; other close ; GET it ; third SET it value ; CLIENT TRACKINGINFO",
	"CLIENT TRACKING OFF ; HELLO 3 ; CLIENT TRACKING ON ; MGET key key ; other MULTI ; other any ; other SWAPDB 0 1 ; other any ; other EXEC ; other FLUSHDB",

	// Who listens.
	"SUBSCRIBE channel channel ; PSUBSCRIBE pattern ; other MULTI ; other PUBLISH channel value ; other SPUBLISH channel value ; other EXEC ; UNSUBSCRIBE ; other PUBLISH channel value",
	"MULTI ; SUBSCRIBE channel+ ; any ; UNSUBSCRIBE ; EXEC ; other PUBLISH channel value | HELLO 3 ; SSUBSCRIBE channel+ ; any ; BLPOP missing 0 ; other SPUBLISH channel value ; other RPUSH first value",

	"ACL SETUSER deafUser RESET ON NOPASS +@ALL ALLKEYS aclChannel aclChannel ; AUTH deafUser X ; SUBSCRIBE aChannel ; PSUBSCRIBE aPattern ; other ACL SETUSER deafUser RESETCHANNELS aclChannel ; other PUBLISH aChannel value ; PING",
	"ACL SETUSER deafUser RESET ON NOPASS ALLCHANNELS ALLKEYS +@ALL ; AUTH deafUser X ; any ; other ACL SETUSER deafUser OFF ; any ; other ACL DELUSER deafUser ; any",

	// Memory is counted, or little, and a password that changes.
	"CONFIG SET MAXMEMORY 107374182400 ; any ; any ; other any ; other any",
	"MULTI ; SET key value ; any ; other CONFIG SET MAXMEMORY 1 ; any ; EXEC ; any ; other CONFIG SET MAXMEMORY 0",
	"CONFIG SET MAXMEMORY-POLICY evictionPolicy ; WATCH key ; SET it value ; other CLIENT TRACKING ON ; other EXISTS it ; third SUBSCRIBE channel ; CONFIG SET MAXMEMORY 1 ; other EXISTS it ; MULTI ; EXEC ; any ; CONFIG SET MAXMEMORY 0 MAXMEMORY-POLICY NOEVICTION",
	"BLMOVE missing own end end 0 ; other CONFIG SET MAXMEMORY 1 ; third RPUSH first value ; other CONFIG SET MAXMEMORY 0 ; third RPUSH first value",
	"other CONFIG SET REQUIREPASS thePassword ; any ; RESET ; any ; AUTH password ; any ; third any ; other CONFIG SET REQUIREPASS empty ; any",
}
