package waf

import (
	"strings"
	"testing"
	"testing/fstest"
)

// What ModSecurity's reference manual (v3) lists, and some that only version 2 has:
// each works or is an error where it stands.
var manual = []struct{ kind, rule, works, refused string }{
	{"directives", "%", `
SecAction "id:1"·SecArgumentsLimit 1000·SecArgumentSeparator &·SecAuditEngine On·SecAuditLog /a·SecAuditLog2 /a·SecAuditLogDirMode 02750·SecAuditLogFormat JSON
SecAuditLogFileMode 0600·SecAuditLogParts AB·SecAuditLogRelevantStatus ^4·SecAuditLogStorageDir /a·SecAuditLogType Serial·SecCollectionTimeout 60·SecComponentSignature x
SecConnEngine Off·SecContentInjection Off·SecCookieFormat 0·SecDataDir /tmp·SecDebugLog /a·SecDebugLogLevel 3·SecDefaultAction "phase:1,pass"·SecDisableBackendCompression Off
SecHashEngine Off·SecInterceptOnError Off·SecMarker A·SecPcreMatchLimit 1000·SecPcreMatchLimitRecursion 1000·SecRequestBodyAccess On·SecRequestBodyInMemoryLimit 100
SecRequestBodyJsonDepthLimit 10·SecRequestBodyLimit 1000·SecRequestBodyLimitAction Reject·SecRequestBodyNoFilesLimit 100·SecResponseBodyAccess On·SecResponseBodyLimit 100
SecResponseBodyLimitAction Reject·SecResponseBodyMimeType text/plain text/html·SecResponseBodyMimeTypesClear·SecRuleEngine DetectionOnly·SecRuleRemoveById 99·SecRuleRemoveByMsg m
SecRuleRemoveByTag t·SecRuleUpdateActionById 99 "deny"·SecRuleUpdateTargetById 99 "!ARGS:a"·SecRuleUpdateTargetById 90-99 "!ARGS:a"·SecRuleUpdateTargetByMsg m "!ARGS:a"
SecRuleUpdateTargetByTag t "!ARGS:a"·SecSensorId x·SecServerSignature x·SecStatusEngine On·SecStreamInBodyInspection Off·SecStreamOutBodyInspection Off·SecTmpDir /tmp
SecTmpSaveUploadedFiles Off·SecUnicodeMapFile unicode.mapping 20127·SecUploadDir /tmp·SecUploadFileLimit 10·SecUploadFileMode 0600·SecUploadKeepFiles Off·SecWebAppId x
SecXmlExternalEntity Off·SecParseXmlIntoArgs Off`, `
SecArgumentSeparator ;·SecCacheTransformations On·SecChrootDir /a·SecConnEngine On·SecConnReadStateLimit 5·SecConnWriteStateLimit 5·SecContentInjection On·SecCookieFormat 1
SecCookieV0Separator x·SecDisableBackendCompression On·SecGeoLookupDb /a·SecGsbLookupDb /a·SecGuardianLog /a·SecHashEngine On·SecHashKey x·SecHashMethodPm x·SecHashMethodRx x
SecHashParam x·SecHttpBlKey x·SecInterceptOnError On·SecPdfProtect On·SecReadStateLimit 5·SecRemoteRules x y·SecRemoteRulesFailAction Warn·SecRuleInheritance On
SecRulePerfTime 5·SecRuleScript /a·SecStreamInBodyInspection On·SecStreamOutBodyInspection On·SecTmpSaveUploadedFiles On·SecUnicodeCodePage 20127·SecUnicodeMapFile unicode.mapping 1250
SecUploadKeepFiles On·SecUploadKeepFiles RelevantOnly·SecWriteStateLimit 5·SecXmlExternalEntity On·SecParseXmlIntoArgs On·SecRuleEngine Maybe·SecRequestBodyLimit -1·SecNothing x
SecRuleRemoveById 98·SecRuleRemoveByMsg n·SecRuleRemoveByTag n·SecRuleUpdateActionById 98 "deny"·SecRuleUpdateActionById 99:1 "deny"·SecRuleUpdateTargetById 98 "!ARGS:a"
SecRuleUpdateTargetById 80-89 "!ARGS:a"·SecRuleUpdateTargetByMsg n "!ARGS:a"·SecRuleUpdateTargetByTag n "!ARGS:a"·SecRuleUpdateTargetById 99 "!ARGS:a" "ARGS:b"
SecRuleUpdateTargetByTag t "!ARGS:a" "ARGS:b"·SecRuleUpdateTargetById 99 "!ARGS:a,!ARGS:b"·SecRuleUpdateTargetById 99 "!REQUEST_HEADERS:a"`},
	{"variables", `SecRule % "@rx a" "id:1"`, `
ARGS·ARGS_COMBINED_SIZE·ARGS_GET·ARGS_GET_NAMES·ARGS_NAMES·ARGS_POST·ARGS_POST_NAMES·AUTH_TYPE·DURATION·ENV·FILES·FILES:a·FILES_COMBINED_SIZE·FILES_NAMES·FULL_REQUEST·FULL_REQUEST_LENGTH
FILES_SIZES·HIGHEST_SEVERITY·INBOUND_DATA_ERROR·MATCHED_VAR·MATCHED_VARS·MATCHED_VAR_NAME·MATCHED_VARS_NAMES·MULTIPART_FILENAME·MULTIPART_NAME·MULTIPART_PART_HEADERS·MULTIPART_STRICT_ERROR·MULTIPART_UNMATCHED_BOUNDARY
OUTBOUND_DATA_ERROR·QUERY_STRING·REMOTE_ADDR·REMOTE_HOST·REMOTE_PORT·REQBODY_ERROR·REQBODY_ERROR_MSG·REQBODY_PROCESSOR·REQUEST_BASENAME·REQUEST_BODY·REQUEST_BODY_LENGTH·REQUEST_COOKIES
REQUEST_COOKIES_NAMES·REQUEST_FILENAME·REQUEST_HEADERS·REQUEST_HEADERS_NAMES·REQUEST_LINE·REQUEST_METHOD·REQUEST_PROTOCOL·REQUEST_URI·REQUEST_URI_RAW·RESPONSE_BODY·RESPONSE_CONTENT_LENGTH
RESPONSE_CONTENT_TYPE·RESPONSE_HEADERS·RESPONSE_HEADERS_NAMES·RESPONSE_PROTOCOL·RESPONSE_STATUS·RULE:id·SERVER_ADDR·SERVER_NAME·SERVER_PORT·SESSION:a·STATUS_LINE·TIME·TIME_DAY·TIME_EPOCH
TIME_HOUR·TIME_MIN·TIME_MON·TIME_SEC·TIME_WDAY·TIME_YEAR·TX:a·UNIQUE_ID·URLENCODED_ERROR·XML:/*·XML://@*·IP:a·GLOBAL:a·RESOURCE:a·USER:a·&ARGS·ARGS|!ARGS:a·ARGS:/^a/`, `
FILES_TMPNAMES·FILES_TMP_CONTENT·GEO:COUNTRY_CODE·JSON·MODSEC_BUILD·MSC_PCRE_LIMITS_EXCEEDED·MULTIPART_CRLF_LF_LINES·PATH_INFO·PERF_ALL·REMOTE_USER·SCRIPT_BASENAME
SDBM_DELETE_ERROR·SESSIONID·STREAM_INPUT_BODY·STREAM_OUTPUT_BODY·USERID·USERAGENT_IP·WEBAPPID·WEBSERVER_ERROR_LOG·RESPONSE_XML·XML:/a/b·REQUEST_URI:a·!ARGS:a·ARGS:/(/·ARGS:%{tx.a}·"ARGS:a, ARGS:b"`},
	{"operators", `SecRule ARGS "%" "id:1"`, `
@beginsWith a·@contains a·@containsWord a·@detectSQLi·@detectXSS·@endsWith a·@eq 1·@ge 1·@gt 1·@ipMatch 192.0.2.1,2001:db8::/32·@ipMatchF nets.data·@ipMatchFromFile nets.data·@le 1·@lt 1·@noMatch
@pm a b·@pmf words.data·@pmFromFile words.data·@rx a·a·!a·! @rx a·@streq %{tx.a}·@strmatch a·@unconditionalMatch·@validateByteRange 1-255·@validateUrlEncoding·@validateUtf8Encoding·@verifyCC \d+·@within a`, `
@fuzzyHash a 1·@geoLookup·@gsbLookup·@inspectFile /a·@rbl a·@rsub s/a/b/·@rxGlobal a·@validateDTD a·@validateHash a·@validateSchema a·@verifyCPF a·@verifySSN a·@verifySVNR a·@nothing·@rx (·@rx (?=a)
@rx %{tx.a}·@pm a|41 42|b·@pmFromFile none.data·@ipMatch a·@validateByteRange 1-256·@within %{nothing.a}`},
	{"transformations", `SecRule ARGS a "id:1,t:%"`, `
base64Decode·base64DecodeExt·base64Encode·cmdLine·compressWhitespace·cssDecode·escapeSeqDecode·hexDecode·hexEncode·htmlEntityDecode·jsDecode·length·lowercase·md5·none·normalisePath·normalizePath·normalisePathWin
normalizePathWin·removeNulls·removeWhitespace·replaceComments·removeCommentsChar·removeComments·replaceNulls·urlDecode·uppercase·urlDecodeUni·urlEncode·utf8toUnicode·sha1·trimLeft·trimRight·trim`, `
sqlHexDecode·parityEven7bit·parityOdd7bit·parityZero7bit·nothing`},
	{"actions", "SecRule ARGS a \"id:1,phase:1,%\"\nSecRule ARGS a\nSecMarker X", "chain", "chain:a"},
	{"actions", "SecRule ARGS a \"id:1,phase:1,%\"\nSecMarker X", `
accuracy:1·allow·allow:phase·allow:request·auditlog·block·capture·ctl:ruleEngine=Off·deny·drop·expirevar:ip.x=60·initcol:ip=%{REMOTE_ADDR}·log·logdata:x·maturity:1·msg:'a, b'·multiMatch·noauditlog·nolog·pass
redirect:http://a.example/%{REQUEST_URI}·rev:1·severity:2·severity:CRITICAL·setenv:a=b·setvar:tx.a=1·setvar:!tx.a·skip:1·skipAfter:X·status:403·t:none·tag:a·ver:a
ctl:auditEngine=On·ctl:auditLogParts=+E·ctl:debugLogLevel=3·ctl:forceRequestBodyVariable=On·ctl:requestBodyAccess=On·ctl:requestBodyLimit=10·ctl:requestBodyProcessor=XML·ctl:responseBodyAccess=On·ctl:responseBodyLimit=10
ctl:ruleRemoveById=5·ctl:ruleRemoveByMsg=a·ctl:ruleRemoveByTag=a·ctl:ruleRemoveTargetById=5;ARGS:a`, `
allow:all·append:x·deprecatevar:session.a=1/2·exec:/a·id:2·pause:5·phase:2·prepend:x·proxy:http://a.example·sanitiseArg:a·sanitiseMatched·sanitiseMatchedBytes·sanitiseRequestHeader:a·sanitiseResponseHeader:a·setuid:a
setrsc:a·setsid:a·severity:9·setvar:args.a=1·skipAfter:Y·status:9999·t:nothing·xmlns:a=b·ctl:hashEngine=On·ctl:hashEnforcement=On·ctl:ruleEngine=Maybe·ctl:parseXmlIntoArgs=On·ctl:ruleRemoveTargetById=5·msg:%{nothing}·nothing`},
	{"options of a later phase", `SecAction "id:1,phase:%"`, `1,pass,ctl:requestBodyProcessor=XML·3,pass,ctl:responseBodyLimit=10`, `2,pass,ctl:requestBodyAccess=Off·2,pass,ctl:requestBodyProcessor=XML·4,pass,ctl:responseBodyAccess=Off`},
	{"rules of a chain", "SecRule ARGS a \"id:1,chain,deny\"\nSecRule ARGS b \"%\"", `t:none·msg:a·logdata:b·setvar:tx.a=1·capture·phase:2`, `deny·status:400·skip:1·skipAfter:X·phase:3·id:2`},
}

func TestManual(t *testing.T) {
	fsys := fstest.MapFS{"words.data": {Data: []byte("a\n")}, "nets.data": {Data: []byte("192.0.2.0/24\n")}}
	for _, m := range manual {
		load := func(list string, want bool) {
			for item := range strings.FieldsFuncSeq(list, func(c rune) bool { return c == '·' || c == '\n' }) {
				item = strings.TrimSpace(item)
				_, err := Compile(fsys, Directives("SecRule ARGS a \"id:99,tag:t,msg:m\"\nSecAction \"id:9998,pass,initcol:ip=a,initcol:global=a,initcol:resource=a,initcol:session=a,initcol:user=a\"\n"+strings.Replace(m.rule, "%", item, 1)))
				switch {
				case want && err != nil:
					t.Errorf("%s: %s: %v, want no error", m.kind, item, err)
				case !want && (err == nil || !strings.HasPrefix(err.Error(), "reading rules: inline:")):
					t.Errorf("%s: %s: got error %v, want one that says where", m.kind, item, err)
				}
			}
		}
		load(m.works, true)
		load(m.refused, false)
	}
}
