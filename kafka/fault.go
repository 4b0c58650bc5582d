package kafka

import "kring/reqchan"

// Fault is why a request is refused. Each has one reason for which the connection is
// closed.
type Fault struct {
	Reason reqchan.CloseReason
	text   string
}

func (f *Fault) Error() string { return f.text }

// code is what a request that is refused for f is counted by: nobody is told.
func (f *Fault) code() int16 {
	if f.Reason == reqchan.UnknownAPI || f.Reason == reqchan.UnsupportedVersion {
		return codeUnsupportedVersion
	}
	return codeInvalidRequest
}

// The faults are fixed values, so that refusing costs no memory.
var (
	faultShort = &Fault{reqchan.HeaderMalformed,
		"kafka: request header: the frame ends inside it (at least 8 bytes are needed, 10 with a client id); send a whole request per frame"}
	faultClientID = &Fault{reqchan.HeaderMalformed,
		"kafka: request header: the client id's length is more than what is left of the frame"}
	faultHeaderTags = &Fault{reqchan.HeaderMalformed,
		"kafka: request header: the tag section claims more or bigger tags than the frame holds, or more than 64"}
	faultUnknownAPI = &Fault{reqchan.UnknownAPI,
		"kafka: request header: the API key is not one of those served; ask with ApiVersions first"}
	faultVersion = &Fault{reqchan.UnsupportedVersion,
		"kafka: request header: the API version is outside the range served; ask with ApiVersions first"}

	faultBodyShort = &Fault{reqchan.BodyMalformed,
		"kafka: request body: it ends inside a field, or a length in it is more than what is left"}
	faultNull = &Fault{reqchan.BodyMalformed,
		"kafka: request body: null, or a negative length, in a field that can't be null"}
	faultString = &Fault{reqchan.BodyMalformed,
		"kafka: request body: a string of more than 32767 bytes"}
	faultUvarint = &Fault{reqchan.BodyMalformed,
		"kafka: request body: a variable-length number of more than 32 bits"}
	faultCount = &Fault{reqchan.BodyMalformed,
		"kafka: request body: an array claims more elements than the bytes left can hold"}
	faultTags = &Fault{reqchan.BodyMalformed,
		"kafka: request body: a tag section claims more tags than the bytes left can hold"}
	faultTagSize = &Fault{reqchan.BodyMalformed,
		"kafka: request body: a known tag is longer than its field"}
	faultElements = &Fault{reqchan.BodyMalformed,
		"kafka: request body: more array elements and tags than a request may have (Filter.ElementsMax); split the request"}
)
