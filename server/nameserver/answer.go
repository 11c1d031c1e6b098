package nameserver

import (
	"errors"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// Lookup returns the address of a name without a final dot. If the name has no address, the address is
// invalid; exists reports whether the name exists at all.
type Lookup func(name string) (address netip.Addr, exists bool)

const (
	// largest is the largest message without EDNS (RFC 1035, section 4.2.1). No answer is larger: it
	// has one question and at most one address.
	largest = 512
	// payload is the size of messages that the server accepts over UDP (RFC 9715, section 3.2).
	payload = 1232
	// lifetime is how long clients may keep an answer, in seconds. It is short, because a program can
	// outlive the emulator that it asked.
	lifetime = 5
)

// Answer returns the answer to a query. If the message is an answer itself, or has no header, it must
// not be answered, and Answer returns nil. The answer always fits into UDP.
//
// If a name does not exist, the answer is NXDOMAIN, not REFUSED: the resolvers of Go, of glibc and of
// musl ask again after REFUSED, or report an error that programs take for temporary.
func Answer(query []byte, lookup Lookup) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil || header.Response {
		return nil
	}
	reply := reply{Header: dnsmessage.Header{
		ID: header.ID, Response: true, OpCode: header.OpCode, Authoritative: true,
		RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
	}}
	if header.OpCode != 0 { // only queries have questions that can be read
		reply.RCode = dnsmessage.RCodeNotImplemented
		return reply.pack()
	}
	questions, err := parser.AllQuestions()
	if err != nil || len(questions) != 1 { // RFC 9619, section 4
		reply.RCode = dnsmessage.RCodeFormatError
		return reply.pack()
	}
	reply.question = &questions[0]
	if reply.edns, reply.RCode = readEDNS(&parser); reply.RCode == dnsmessage.RCodeSuccess {
		reply.resolve(lookup)
	}
	return reply.pack()
}

// badVersion is the code for an unknown version of EDNS (RFC 6891, section 6.1.3). Its upper bits are
// part of the record of EDNS.
const badVersion dnsmessage.RCode = 16

// readEDNS reports whether a query has a record of EDNS (RFC 6891), and returns an error's code.
func readEDNS(parser *dnsmessage.Parser) (isPresent bool, code dnsmessage.RCode) {
	if parser.SkipAllAnswers() != nil || parser.SkipAllAuthorities() != nil {
		return false, dnsmessage.RCodeFormatError
	}
	for {
		header, err := parser.AdditionalHeader()
		switch {
		case errors.Is(err, dnsmessage.ErrSectionDone):
			return isPresent, code
		case err != nil || header.Type == dnsmessage.TypeOPT && isPresent:
			return isPresent, dnsmessage.RCodeFormatError
		case header.Type == dnsmessage.TypeOPT:
			isPresent = true
			if version := header.TTL >> 16 & 0xff; version != 0 {
				code = badVersion
			}
		}
		if parser.SkipAdditional() != nil {
			return isPresent, dnsmessage.RCodeFormatError
		}
	}
}

// reply is an answer in preparation.
type reply struct {
	dnsmessage.Header

	question *dnsmessage.Question // nil: it could not be read
	edns     bool                 // the client knows EDNS
	address  netip.Addr           // of the question's name
}

// resolve looks up the name of the question. A name without an address of the type that the question
// asks for has an empty answer.
func (r *reply) resolve(lookup Lookup) {
	name := r.question.Name.String()
	if r.question.Class != dnsmessage.ClassINET && r.question.Class != dnsmessage.ClassANY {
		r.RCode = dnsmessage.RCodeNotImplemented
		return
	}
	address, exists := lookup(name[:max(0, len(name)-1)])
	switch wanted := r.question.Type; {
	case !exists:
		r.RCode = dnsmessage.RCodeNameError
	case address.Is4() && (wanted == dnsmessage.TypeA || wanted == dnsmessage.TypeALL):
		r.address = address
	}
}

// pack returns the message. Packing cannot fail, because every part was read from a message or is of a
// fixed size.
func (r *reply) pack() []byte {
	extended := r.RCode
	r.RCode &= 0xf
	builder := dnsmessage.NewBuilder(make([]byte, 0, largest), r.Header)
	builder.EnableCompression()
	if r.question != nil {
		_ = builder.StartQuestions()
		_ = builder.Question(*r.question)
	}
	if r.address.IsValid() {
		_ = builder.StartAnswers()
		_ = builder.AResource(dnsmessage.ResourceHeader{Name: r.question.Name, Class: dnsmessage.ClassINET, TTL: lifetime}, dnsmessage.AResource{A: r.address.As4()})
	}
	if r.edns {
		_ = builder.StartAdditionals()
		var header dnsmessage.ResourceHeader
		_ = header.SetEDNS0(payload, extended, false)
		_ = builder.OPTResource(header, dnsmessage.OPTResource{})
	}
	message, _ := builder.Finish()
	return message
}
