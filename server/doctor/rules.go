package doctor

import (
	"gcp-metadata-emulator/server/reach"
)

// client holds the rules by which a library or tool finds Google's servers. Strings can hold lists,
// with spaces between the entries. In a list of variables, the first set variable counts.
type client struct {
	name string

	steps   []step                // places to look for credentials before the metadata server, in order
	types   map[string][]endpoint // servers that the client asks, in order, by the types of credential files that it supports; empty: the servers are not known
	sources string                // types that it accepts as the source of impersonation; empty: all

	hosts    string // variables that name the metadata server
	urls     bool   // they may hold a URL
	metadata string // the metadata server if no variable names one; empty: it looks for no credentials
	alone    bool   // it does not use a proxy for the metadata server

	// pings lists the variables with the name of the metadata server for the client's check of its
	// existence, if they differ from hosts. The check uses no proxy. If the machine's firmware
	// names Google, the client skips it.
	pings string

	proxies proxies
	apis    []endpoint // hosts of Google that it calls for other purposes
	roots   string     // variables and Java properties that name a file of trusted roots
	system  bool       // it trusts the roots of the system if none of them is set
	because string     // what all its requests have in common
	remedy  string     // leads its requests to the emulator; empty: a reach
	trusted string     // the file of trusted roots if none of them is set
}

// step is a place where a client looks for credentials. The first step that applies decides.
type step struct {
	when   condition // the step applies if this holds; empty: always
	unless condition // and if this does not hold

	reads   string     // a credential file: the variables that name it, or its path, which may begin with ~ or CLOUDSDK_CONFIG
	asks    []endpoint // otherwise: servers that the client asks with credentials from elsewhere
	further bool       // the client then goes on to the next step
	finds   Verdict    // otherwise: the result
	because string     // the reason, if the condition does not give one
	change  string     // the remedy, if it is not to unset the variables of the condition
}

// condition holds if one of its alternatives does. An alternative holds if all its terms do; they
// are separated by spaces.
//
//	NAME            the variable is set
//	NAME=VALUE      the variable has this value
//	NAME~VALUE|...  the variable has one of these values; case does not matter
//	NAME!VALUE|...  the variable is set to another value
//	PATH^           the file exists
//	PATH^TEXT       the file begins with the text
//	PATH^TEXT<AGE   the same, and the file is younger than this
type condition []string

// endpoint is the destination of a request: a URL in a variable or a credential file, or otherwise a
// host of Google that is compiled in.
type endpoint struct {
	name     string // of the API, if the client has several
	variable string
	field    string // of a credential file; a.b is b in a. An object there is a credential file itself
	host     string
	optional bool   // without a URL there is no request
	secure   bool   // it refuses a URL without TLS
	newer    bool   // only newer versions look at the field
	unless   string // variables: if one of them is set, there is no request
	roots    string // a file of trusted roots, in place of the client's own
}

// proxies holds the rules by which a client finds its proxy.
type proxies struct {
	only   string // the variable without which it uses no proxy; empty: it needs none
	plain  string // variables and Java properties that name the proxy for http
	secure string // the same for https
	except string // the same for hosts that need no proxy
	ways   ways
	direct bool // it uses no proxy for this machine
}

// ways are the forms that a client supports in the list of hosts without a proxy. All clients
// support names, addresses, and a name with a leading dot for the names below it.
type ways uint

const (
	all       ways = 1 << iota // an asterisk matches every host
	below                      // a name also matches the names below it
	networks                   // 10.0.0.0/8
	asterisks                  // *.example.com
)

// The types of credential files (https://google.aip.dev/auth/4110 and its references).
const (
	serviceAccount = "service_account"
	userAccount    = reach.UserAccount
	external       = "external_account"
	externalUser   = "external_account_authorized_user"
	impersonated   = "impersonated_service_account"
)
