package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kring/kafka"
)

// refusal is why something is not done: Kafka's error, and what its response
// says beside it.
type refusal struct {
	code    int16
	message string // empty: the error's own description
}

func refuse(code int16, message string) *refusal { return &refusal{code, message} }

func (r *refusal) Error() string {
	if r.message != "" {
		return r.message
	}
	if err := kerr.TypedErrorForCode(r.code); err != nil {
		return err.Description
	}
	return kerr.UnknownServerError.Description
}

// answer is a refusal as responses have it; without one, 0 and no message.
func (r *refusal) answer() (code int16, message *string) {
	if r == nil {
		return 0, nil
	}
	return r.code, kmsg.StringPtr(r.Error())
}

func refusalOf(req kmsg.Request, code int16, message string) kmsg.Response {
	return kafka.Refusal(req, code, message)
}
