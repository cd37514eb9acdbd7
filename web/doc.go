// Package web is everything HTTP: the route table, the API that hands out TURN
// credentials, health, metrics, and the embedded pages.
//
//	GET  /v1/ice-servers   an RTCConfiguration with fresh credentials       API key, or demo mode
//	POST /v1/credentials   a username and password                         API key
//	GET, POST /turn        the same in the shape of the TURN REST draft    API key
//	POST /v1/rooms/{room}/tokens  a join token for a room                  API key
//	GET  /v1/rooms         who is in which room                            API key, or demo mode
//	GET  /v1/admin         that and the server's figures, for /admin       API key, or demo mode
//	GET  /v1/signal        WebSocket signaling, given in [Config.Signal]   decided there
//	POST /v1/self-tests    an ID and ICE servers for a test by a browser   API key, or demo mode
//	GET  /v1/self-tests/ID what the server and the browser saw of it       whoever knows the ID
//	PUT  …/ID/report       what the browser saw of it                      whoever knows the ID
//	GET  /healthz          the process answers
//	GET  /readyz           a relayed loop works, and the server is not draining
//	GET  /metrics          Prometheus text                                 this machine, or API key
//	GET  /                 the call page and its files
//
// HEAD works where GET does. Nothing else is served: no directory listing, no
// profiler.
//
// # Who may ask for credentials
//
// A credential lets its holder relay traffic, so one is given to the holder of an API
// key ([Keys]) and to nobody else, with one exception: with [DemoLocal], a request from
// this machine may leave the key out, for GET /v1/ice-servers and POST /v1/self-tests only. It is from this
// machine if the connection comes from loopback, no proxy forwarded it, and its Host
// names loopback or one of [Config.PublicHosts]. The last rule stops a web page whose
// name was rebound to 127.0.0.1. Other requests without a key are refused on all routes
// but the two of health, because the pages and the rooms are as open as the API then. A
// proxy on this machine that adds no header of its own and asks for 127.0.0.1 cannot be
// told from a user of it: behind one, demo mode has to be off.
//
// The call page itself is served in every mode. Where there is no demo, joining a room
// on it takes a key or a token, which [Config.Signal] checks.
//
// A key is read from "Authorization: Bearer KEY", on /turn also from the parameter
// key, as the draft has it. A request that names an Origin other than its own Host and
// [Config.AllowedOrigins] gets no credential, whatever key it holds.
//
// # Refusals
//
// Every refusal is a problem document (RFC 9457) whose member reason is one of the
// constants of type [Reason], and whose detail says what to do about it. The same code
// is counted in hairpin_http_refusals_total.
//
// # Who owns which memory
//
// What [New] is given in a [Config] is read, never written, and must not change; what
// changes at run time ([Keys]) says so. The pages are read into memory once. What is
// kept for clients has a fixed size ([Config.KeyRate], [Config.FailureRate]).
//
// # Locks
//
// Two, never held together and never while calling out: one in each budget, guarding
// its slots, and one in the readiness, guarding its last result.
package web
