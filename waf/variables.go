package waf

// A varID is one of SecLang's variables.
type varID uint8

// How a variable keeps its values.
type varKind uint8

const (
	kindSingle  varKind = iota // one text, in tx.singles
	kindLazy                   // one text, computed when asked for
	kindList                   // keys and values, in tx.lists
	kindNames                  // the keys of a list
	kindConcat                 // several lists, one after the other
	kindTX                     // the transaction's own values
	kindMatched                // what the current rule has matched so far
	kindStore                  // values kept from request to request
)

const (
	vUnknown varID = iota

	vAuthType
	vFilesCombinedSize
	vHighestSeverity
	vInboundDataError
	vMultipartBoundaryQuoted
	vMultipartBoundaryWhitespace
	vMultipartCrlfLfLines
	vMultipartDataAfter
	vMultipartDataBefore
	vMultipartDuplicatePartHeader
	vMultipartFileLimitExceeded
	vMultipartHeaderFolding
	vMultipartInvalidHeaderFolding
	vMultipartInvalidPart
	vMultipartInvalidQuoting
	vMultipartLfLine
	vMultipartMissingSemicolon
	vMultipartStrictError
	vOutboundDataError
	vPathInfo
	vQueryString
	vRemoteAddr
	vRemotePort
	vReqbodyError
	vReqbodyErrorMsg
	vReqbodyProcessor
	vReqbodyProcessorError
	vReqbodyProcessorErrorMsg
	vRequestBasename
	vRequestBody
	vRequestBodyLength
	vRequestFilename
	vRequestLine
	vRequestMethod
	vRequestProtocol
	vRequestURI
	vRequestURIRaw
	vResBodyError
	vResBodyErrorMsg
	vResBodyProcessor
	vResBodyProcessorError
	vResBodyProcessorErrorMsg
	vResponseBody
	vResponseContentLength
	vResponseContentType
	vResponseProtocol
	vResponseStatus
	vServerAddr
	vServerName
	vServerPort
	vStatusLine
	vUniqueID
	vURIParseError
	vUserID
	vSessionID
	vArgumentsLimitReached
	numSingles // singles are the ids below this one

	vArgsCombinedSize = iota - 1
	vDuration
	vFullRequest
	vFullRequestLength
	vMultipartUnmatchedBoundary
	vRemoteHost
	vUrlencodedError
	vTime
	vTimeDay
	vTimeEpoch
	vTimeHour
	vTimeMin
	vTimeMon
	vTimeSec
	vTimeWday
	vTimeYear

	vArgsGet
	vArgsPost
	vArgsPath
	vEnv
	vFiles
	vFilesNames
	vFilesSizes
	vFilesTmpContent
	vFilesTmpNames
	vGeo
	vJSON
	vMultipartFilename
	vMultipartFilenameCharset
	vMultipartFilenameLanguage
	vMultipartName
	vMultipartPartHeaders
	vRequestCookies
	vRequestHeaders
	vRequestXML
	vResponseArgs
	vResponseHeaders
	vResponseXML
	vXML

	vArgsGetNames
	vArgsPostNames
	vRequestCookiesNames
	vRequestHeadersNames
	vResponseHeadersNames

	vArgs
	vArgsNames

	vTX
	vRule
	vMatchedVar
	vMatchedVarName
	vMatchedVars
	vMatchedVarsNames

	vIP
	vGlobal
	vSession
	vUser
	vResource
	vNothing // nothing has matched yet
	numVars
)

// Lists are stored densely, from the first list's id on.
const (
	firstList = vArgsGet
	numLists  = int(vXML) - int(vArgsGet) + 1
)

type varInfo struct {
	name  string
	kind  varKind
	of    varID // the list whose names it is
	fixed bool  // it does not change while a phase runs
	sel   bool  // it takes a key
}

var vars = [numVars]varInfo{
	vUnknown:                       {name: "UNKNOWN"},
	vAuthType:                      {name: "AUTH_TYPE", fixed: true},
	vFilesCombinedSize:             {name: "FILES_COMBINED_SIZE", fixed: true},
	vFullRequestLength:             {name: "FULL_REQUEST_LENGTH", kind: kindLazy},
	vHighestSeverity:               {name: "HIGHEST_SEVERITY"},
	vInboundDataError:              {name: "INBOUND_DATA_ERROR", fixed: true},
	vMultipartBoundaryQuoted:       {name: "MULTIPART_BOUNDARY_QUOTED", fixed: true},
	vMultipartBoundaryWhitespace:   {name: "MULTIPART_BOUNDARY_WHITESPACE", fixed: true},
	vMultipartCrlfLfLines:          {name: "MULTIPART_CRLF_LF_LINES", fixed: true},
	vMultipartDataAfter:            {name: "MULTIPART_DATA_AFTER", fixed: true},
	vMultipartDataBefore:           {name: "MULTIPART_DATA_BEFORE", fixed: true},
	vMultipartDuplicatePartHeader:  {name: "MULTIPART_DUPLICATE_PART_HEADER", fixed: true},
	vMultipartFileLimitExceeded:    {name: "MULTIPART_FILE_LIMIT_EXCEEDED", fixed: true},
	vMultipartHeaderFolding:        {name: "MULTIPART_HEADER_FOLDING", fixed: true},
	vMultipartInvalidHeaderFolding: {name: "MULTIPART_INVALID_HEADER_FOLDING", fixed: true},
	vMultipartInvalidPart:          {name: "MULTIPART_INVALID_PART", fixed: true},
	vMultipartInvalidQuoting:       {name: "MULTIPART_INVALID_QUOTING", fixed: true},
	vMultipartLfLine:               {name: "MULTIPART_LF_LINE", fixed: true},
	vMultipartMissingSemicolon:     {name: "MULTIPART_MISSING_SEMICOLON", fixed: true},
	vMultipartStrictError:          {name: "MULTIPART_STRICT_ERROR", fixed: true},
	vMultipartUnmatchedBoundary:    {name: "MULTIPART_UNMATCHED_BOUNDARY", kind: kindLazy},
	vOutboundDataError:             {name: "OUTBOUND_DATA_ERROR", fixed: true},
	vPathInfo:                      {name: "PATH_INFO", fixed: true},
	vQueryString:                   {name: "QUERY_STRING", fixed: true},
	vRemoteAddr:                    {name: "REMOTE_ADDR", fixed: true},
	vRemoteHost:                    {name: "REMOTE_HOST", kind: kindLazy},
	vRemotePort:                    {name: "REMOTE_PORT", fixed: true},
	vReqbodyError:                  {name: "REQBODY_ERROR", fixed: true},
	vReqbodyErrorMsg:               {name: "REQBODY_ERROR_MSG", fixed: true},
	vReqbodyProcessor:              {name: "REQBODY_PROCESSOR"},
	vReqbodyProcessorError:         {name: "REQBODY_PROCESSOR_ERROR", fixed: true},
	vReqbodyProcessorErrorMsg:      {name: "REQBODY_PROCESSOR_ERROR_MSG", fixed: true},
	vRequestBasename:               {name: "REQUEST_BASENAME", fixed: true},
	vRequestBody:                   {name: "REQUEST_BODY", fixed: true},
	vRequestBodyLength:             {name: "REQUEST_BODY_LENGTH", fixed: true},
	vRequestFilename:               {name: "REQUEST_FILENAME", fixed: true},
	vRequestLine:                   {name: "REQUEST_LINE", fixed: true},
	vRequestMethod:                 {name: "REQUEST_METHOD", fixed: true},
	vRequestProtocol:               {name: "REQUEST_PROTOCOL", fixed: true},
	vRequestURI:                    {name: "REQUEST_URI", fixed: true},
	vRequestURIRaw:                 {name: "REQUEST_URI_RAW", fixed: true},
	vResBodyError:                  {name: "RES_BODY_ERROR", fixed: true},
	vResBodyErrorMsg:               {name: "RES_BODY_ERROR_MSG", fixed: true},
	vResBodyProcessor:              {name: "RES_BODY_PROCESSOR"},
	vResBodyProcessorError:         {name: "RES_BODY_PROCESSOR_ERROR", fixed: true},
	vResBodyProcessorErrorMsg:      {name: "RES_BODY_PROCESSOR_ERROR_MSG", fixed: true},
	vResponseBody:                  {name: "RESPONSE_BODY", fixed: true},
	vResponseContentLength:         {name: "RESPONSE_CONTENT_LENGTH", fixed: true},
	vResponseContentType:           {name: "RESPONSE_CONTENT_TYPE", fixed: true},
	vResponseProtocol:              {name: "RESPONSE_PROTOCOL", fixed: true},
	vResponseStatus:                {name: "RESPONSE_STATUS", fixed: true},
	vServerAddr:                    {name: "SERVER_ADDR", fixed: true},
	vServerName:                    {name: "SERVER_NAME", fixed: true},
	vServerPort:                    {name: "SERVER_PORT", fixed: true},
	vStatusLine:                    {name: "STATUS_LINE", fixed: true},
	vUniqueID:                      {name: "UNIQUE_ID", fixed: true},
	vURIParseError:                 {name: "URI_PARSE_ERROR", fixed: true},
	vUrlencodedError:               {name: "URLENCODED_ERROR", kind: kindLazy},
	vUserID:                        {name: "USERID"},
	vSessionID:                     {name: "SESSIONID"},
	vArgumentsLimitReached:         {name: "ARGUMENTS_LIMIT_REACHED", fixed: true},

	vArgsCombinedSize: {name: "ARGS_COMBINED_SIZE", kind: kindLazy},
	vDuration:         {name: "DURATION", kind: kindLazy},
	vFullRequest:      {name: "FULL_REQUEST", kind: kindLazy},
	vTime:             {name: "TIME", kind: kindLazy},
	vTimeDay:          {name: "TIME_DAY", kind: kindLazy},
	vTimeEpoch:        {name: "TIME_EPOCH", kind: kindLazy},
	vTimeHour:         {name: "TIME_HOUR", kind: kindLazy},
	vTimeMin:          {name: "TIME_MIN", kind: kindLazy},
	vTimeMon:          {name: "TIME_MON", kind: kindLazy},
	vTimeSec:          {name: "TIME_SEC", kind: kindLazy},
	vTimeWday:         {name: "TIME_WDAY", kind: kindLazy},
	vTimeYear:         {name: "TIME_YEAR", kind: kindLazy},

	vArgsGet:                   {name: "ARGS_GET", kind: kindList, fixed: true, sel: true},
	vArgsPost:                  {name: "ARGS_POST", kind: kindList, fixed: true, sel: true},
	vArgsPath:                  {name: "ARGS_PATH", kind: kindList, fixed: true, sel: true},
	vEnv:                       {name: "ENV", kind: kindList, sel: true},
	vFiles:                     {name: "FILES", kind: kindList, fixed: true, sel: true},
	vFilesNames:                {name: "FILES_NAMES", kind: kindList, fixed: true, sel: true},
	vFilesSizes:                {name: "FILES_SIZES", kind: kindList, fixed: true, sel: true},
	vFilesTmpContent:           {name: "FILES_TMP_CONTENT", kind: kindList, fixed: true, sel: true},
	vFilesTmpNames:             {name: "FILES_TMPNAMES", kind: kindList, fixed: true, sel: true},
	vGeo:                       {name: "GEO", kind: kindList, fixed: true, sel: true},
	vJSON:                      {name: "JSON", kind: kindList, fixed: true, sel: true},
	vMultipartFilename:         {name: "MULTIPART_FILENAME", kind: kindList, fixed: true, sel: true},
	vMultipartFilenameCharset:  {name: "MULTIPART_FILENAME_CHARSET", kind: kindList, fixed: true, sel: true},
	vMultipartFilenameLanguage: {name: "MULTIPART_FILENAME_LANGUAGE", kind: kindList, fixed: true, sel: true},
	vMultipartName:             {name: "MULTIPART_NAME", kind: kindList, fixed: true, sel: true},
	vMultipartPartHeaders:      {name: "MULTIPART_PART_HEADERS", kind: kindList, fixed: true, sel: true},
	vRequestCookies:            {name: "REQUEST_COOKIES", kind: kindList, fixed: true, sel: true},
	vRequestHeaders:            {name: "REQUEST_HEADERS", kind: kindList, fixed: true, sel: true},
	vRequestXML:                {name: "REQUEST_XML", kind: kindList, fixed: true, sel: true},
	vResponseArgs:              {name: "RESPONSE_ARGS", kind: kindList, fixed: true, sel: true},
	vResponseHeaders:           {name: "RESPONSE_HEADERS", kind: kindList, fixed: true, sel: true},
	vResponseXML:               {name: "RESPONSE_XML", kind: kindList, fixed: true, sel: true},
	vXML:                       {name: "XML", kind: kindList, fixed: true, sel: true},

	vArgsGetNames:         {name: "ARGS_GET_NAMES", kind: kindNames, of: vArgsGet, fixed: true, sel: true},
	vArgsPostNames:        {name: "ARGS_POST_NAMES", kind: kindNames, of: vArgsPost, fixed: true, sel: true},
	vRequestCookiesNames:  {name: "REQUEST_COOKIES_NAMES", kind: kindNames, of: vRequestCookies, fixed: true, sel: true},
	vRequestHeadersNames:  {name: "REQUEST_HEADERS_NAMES", kind: kindNames, of: vRequestHeaders, fixed: true, sel: true},
	vResponseHeadersNames: {name: "RESPONSE_HEADERS_NAMES", kind: kindNames, of: vResponseHeaders, fixed: true, sel: true},

	vArgs:      {name: "ARGS", kind: kindConcat, fixed: true, sel: true},
	vArgsNames: {name: "ARGS_NAMES", kind: kindConcat, fixed: true, sel: true},

	vTX:               {name: "TX", kind: kindTX, sel: true},
	vRule:             {name: "RULE", kind: kindMatched, sel: true},
	vMatchedVar:       {name: "MATCHED_VAR", kind: kindMatched},
	vMatchedVarName:   {name: "MATCHED_VAR_NAME", kind: kindMatched},
	vMatchedVars:      {name: "MATCHED_VARS", kind: kindMatched, sel: true},
	vMatchedVarsNames: {name: "MATCHED_VARS_NAMES", kind: kindMatched, sel: true},

	vIP:       {name: "IP", kind: kindStore, sel: true},
	vGlobal:   {name: "GLOBAL", kind: kindStore, sel: true},
	vSession:  {name: "SESSION", kind: kindStore, sel: true},
	vUser:     {name: "USER", kind: kindStore, sel: true},
	vResource: {name: "RESOURCE", kind: kindStore, sel: true},
}

var varIDs = func() map[string]varID {
	m := make(map[string]varID, numVars)
	for i, v := range vars {
		if i != int(vUnknown) && v.name != "" {
			m[v.name] = varID(i)
		}
	}
	return m
}()

// unfilled are variables that other engines have and that would be empty here,
// and why. A rule that reads one is an error.
var unfilled = map[varID]string{
	vFilesTmpContent: "the content of files is not kept",
	vFilesTmpNames:   "files are not written to a disk",
	vGeo:             "the engine asks nobody else about a request",
	vJSON:            "values of JSON are in ARGS_POST, by names such as json.a.0.b",
	vPathInfo:        "which part of a path is a script only the application knows",
	vResponseXML:     "answers that are XML are not taken apart; RESPONSE_BODY has their text",
	vSessionID:       "initcol:session=... says which session it is, without a name for it",
	vUserID:          "initcol:user=... says which user it is, without a name for it",

	vMultipartBoundaryQuoted:       multipartFlag,
	vMultipartBoundaryWhitespace:   multipartFlag,
	vMultipartCrlfLfLines:          multipartFlag,
	vMultipartDataAfter:            multipartFlag,
	vMultipartDataBefore:           multipartFlag,
	vMultipartHeaderFolding:        multipartFlag,
	vMultipartInvalidHeaderFolding: multipartFlag,
	vMultipartInvalidPart:          multipartFlag,
	vMultipartLfLine:               multipartFlag,
	vMultipartMissingSemicolon:     multipartFlag,
}

const multipartFlag = "MULTIPART_STRICT_ERROR and REQBODY_ERROR say that a multipart body is malformed"

// stored is where a list's values are: XML is another name of REQUEST_XML.
func stored(v varID) varID {
	if v == vXML {
		return vRequestXML
	}
	return v
}

// argLists are what ARGS and ARGS_NAMES are made of, in order.
var argLists = [...]varID{vArgsGet, vArgsPost, vArgsPath}

// defaults of the singles that rules compare with numbers.
var singleDefaults = func() (d [numSingles]string) {
	for _, v := range []varID{
		vFilesCombinedSize, vURIParseError, vArgumentsLimitReached,
		vMultipartDataAfter, vMultipartDuplicatePartHeader, vMultipartInvalidQuoting, vOutboundDataError,
		vReqbodyError, vReqbodyProcessorError, vRequestBodyLength,
	} {
		d[v] = "0"
	}
	d[vHighestSeverity] = "255"
	return d
}()
