package embedded

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// initProducer has a producer that names its id and epoch go on as in Apache
// Kafka (TransactionCoordinator.prepareInitProducerIdTransit): a transactional id
// that is new begins anew whatever is named, the current epoch is followed by the
// next, the producer's own last epoch gets the answer that was lost, and everybody
// else is fenced. kfake knows the named producer or nothing, and takes any older
// epoch, so that a fenced producer would fence the one that took its place.
func initProducer(x *exchange, req *kmsg.InitProducerIDRequest) kmsg.Response {
	if req.TransactionalID == nil || *req.TransactionalID == "" {
		return nil
	}
	own := int16(noEpoch)
	if named := req.ProducerID != noProducer; named != (req.ProducerEpoch != noEpoch) {
		return refuseProducer(x, kerr.InvalidRequest.Code)
	} else if named {
		if resp := goOn(x, req); resp != nil || x.err != nil {
			return resp
		}
		own = req.ProducerEpoch
	}
	then(x, func(resp *kmsg.InitProducerIDResponse) {
		resp.ErrorCode = fencedBefore(initFences, req.Version, resp.ErrorCode)
		if resp.ErrorCode != 0 {
			resp.ProducerID, resp.ProducerEpoch = noProducer, noEpoch
			return
		}
		x.cluster().transactions.opened(*req.TransactionalID, own)
		x.cluster().transactionEnded(*req.TransactionalID)
	})
	return nil
}

// goOn answers a producer that names its id and epoch, or leaves it to kfake.
func goOn(x *exchange, req *kmsg.InitProducerIDRequest) kmsg.Response {
	id := *req.TransactionalID
	p, err := x.producerOf(id)
	if err != nil {
		x.fail(err)
		return nil
	}
	if p == nil {
		req.ProducerID, req.ProducerEpoch, x.changed = noProducer, noEpoch, true
		return nil
	}
	last, seen := x.cluster().transactions.of(id)
	switch {
	case p.ProducerID != req.ProducerID:
	case p.ProducerEpoch == req.ProducerEpoch:
		return nil
	case seen && last.epoch == req.ProducerEpoch && p.ProducerEpoch == req.ProducerEpoch+1 && p.State != txnOngoing:
		x.cluster().transactions.opened(id, req.ProducerEpoch)
		resp := x.response().(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = p.ProducerID, p.ProducerEpoch
		return resp
	}
	return refuseProducer(x, fencedBefore(initFences, req.Version, kerr.ProducerFenced.Code))
}

func refuseProducer(x *exchange, code int16) kmsg.Response {
	resp := x.response().(*kmsg.InitProducerIDResponse)
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = code, noProducer, noEpoch
	return resp
}
