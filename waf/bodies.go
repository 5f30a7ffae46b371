package waf

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/waf/internal/body"
)

// parseRequestBody fills the variables of the body.
func (tx *Transaction) parseRequestBody() {
	s := &tx.singles
	if tx.forceReqBody && s[vReqbodyProcessor] == "" {
		s[vReqbodyProcessor] = "URLENCODED"
	}
	processor := s[vReqbodyProcessor]
	if processor == "" {
		return
	}
	if processor != "MULTIPART" && int64(len(tx.body)) > tx.e.settings.reqNoFiles {
		tx.refuseBody("SecRequestBodyNoFilesLimit")
		return
	}
	tx.spend(len(tx.body))
	var err error
	switch processor {
	case "URLENCODED":
		tx.requestText()
		tx.addQuery(vArgsPost, tx.body)
	case "RAW":
		tx.requestText()
	case "JSON":
		if err = tx.parseJSON(vArgsPost, tx.body, tx.e.settings.jsonDepth); err == nil {
			tx.txSet("json_request_body", text(tx.body))
		}
	case "XML":
		err = tx.parseXML()
	case "MULTIPART":
		err = tx.parseMultipart()
	}
	if err != nil {
		s[vReqbodyError], s[vReqbodyProcessorError] = "1", "1"
		s[vReqbodyErrorMsg] = processor + ": " + err.Error()
		s[vReqbodyProcessorErrorMsg] = err.Error()
	}
}

// isOneText says whether the body will be read, and not as a form with files.
func (tx *Transaction) isOneText() bool {
	processor := tx.singles[vReqbodyProcessor]
	return processor != "MULTIPART" && (processor != "" || tx.forceReqBody)
}

// refuseBody ends the transaction because a limit that SecLang sets is passed.
func (tx *Transaction) refuseBody(limit string) {
	tx.interrupt(Interruption{Action: "deny", Status: http.StatusRequestEntityTooLarge, Data: limit})
}

func (tx *Transaction) requestText() {
	tx.singles[vRequestBody] = text(tx.body)
	tx.singles[vRequestBodyLength] = strconv.Itoa(len(tx.body))
}

// addQuery adds the arguments of a query or a form.
func (tx *Transaction) addQuery(v varID, query []byte) {
	if body.URLEncoded(query, '&', tx.e.settings.args, &tx.parsed, func(name, value []byte) {
		tx.add(v, text(name), text(value))
	}) {
		tx.singles[vArgumentsLimitReached] = "1"
	}
}

func (tx *Transaction) parseJSON(v varID, b []byte, depth int) error {
	truncated, err := body.JSON(b, body.Limits{Args: tx.e.settings.args, Depth: depth}, &tx.parsed, func(name, value []byte) {
		tx.add(v, text(name), text(value))
	})
	if truncated {
		tx.singles[vArgumentsLimitReached] = "1"
	}
	return err
}

// xmlDepth bounds elements within elements.
const xmlDepth = 1024

func (tx *Transaction) parseXML() error {
	attributes, texts, err := body.XML(tx.body, body.Limits{Depth: xmlDepth})
	if err != nil {
		return err
	}
	for _, s := range attributes {
		tx.add(vRequestXML, "//@*", s)
	}
	for _, s := range texts {
		tx.add(vRequestXML, "/*", s)
	}
	return nil
}

func (tx *Transaction) parseMultipart() error {
	s := &tx.singles
	contentType, _ := tx.list(vRequestHeaders).get("content-type")
	set := &tx.e.settings
	l := body.Limits{Parts: set.args + set.files, Files: set.files, Fields: set.reqNoFiles}
	size := int64(0)
	flags, err := body.Multipart(tx.body, contentType, l, s[vInboundDataError] == "1", func(p *body.Part) {
		for _, h := range p.Headers {
			tx.add(vMultipartPartHeaders, p.Name, h)
		}
		if p.Broken {
			return
		}
		tx.add(vMultipartName, p.Name, p.Name)
		for _, name := range p.Filenames {
			tx.add(vMultipartFilename, p.Name, name)
		}
		if p.Extended {
			tx.add(vMultipartFilenameCharset, p.Name, p.Charset)
			tx.add(vMultipartFilenameLanguage, p.Name, p.Language)
		}
		if !p.Complete {
			return
		}
		if !p.IsFile() {
			size += int64(len(p.Value))
			if len(*tx.list(vArgsPost)) >= tx.e.settings.args {
				s[vArgumentsLimitReached] = "1"
			} else {
				tx.add(vArgsPost, p.Name, text(p.Value))
			}
		} else {
			size += p.Size
			for _, name := range p.Filenames {
				tx.add(vFiles, p.Name, name)
			}
			tx.add(vFilesSizes, p.Name, strconv.FormatInt(p.Size, 10))
			tx.add(vFilesNames, p.Name, p.Name)
		}
		s[vFilesCombinedSize] = strconv.FormatInt(size, 10)
	})
	for v, is := range map[varID]bool{
		vMultipartStrictError: flags.StrictError, vMultipartDuplicatePartHeader: flags.DuplicatePartHeader,
		vMultipartInvalidQuoting: flags.InvalidQuoting,
	} {
		if is {
			s[v] = "1"
		}
	}
	if l, ok := errors.AsType[*body.LimitError](err); ok {
		if l.What == "files" {
			s[vMultipartFileLimitExceeded] = "1"
		}
		tx.refuseBody("multipart " + l.What)
	}
	return err
}

// parseResponseBody fills the variables of the response's body.
func (tx *Transaction) parseResponseBody() {
	s := &tx.singles
	tx.spend(len(tx.resp))
	switch strings.ToUpper(s[vResBodyProcessor]) {
	case "", "RAW":
		s[vResponseContentLength] = strconv.Itoa(len(tx.resp))
		s[vResponseBody] = text(tx.resp)
	case "JSON":
		err := tx.parseJSON(vResponseArgs, tx.resp, tx.e.settings.respDepth)
		if err == nil {
			tx.txSet("json_response_body", text(tx.resp))
			return
		}
		s[vResBodyError], s[vResBodyProcessorError] = "1", "1"
		s[vResBodyErrorMsg] = s[vResBodyProcessor] + ": " + err.Error()
		s[vResBodyProcessorErrorMsg] = err.Error()
	}
}
