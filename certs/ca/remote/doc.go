// Package remote knows remote signing: the endpoints of cfssl (sign, authsign and
// info) over an authority, so that cfssl's own clients work. It listens nowhere
// itself.
//
// What it guarantees:
//
//   - A request without a verified client certificate is refused, whoever
//     terminates TLS in front of it and however that is set up; so is one that
//     [Server.Admit] speaks against, on each request and not on each connection.
//   - A profile is named or is the default; its usages, life and name pattern
//     hold. Nothing else is granted: serial numbers, extensions, dates and CRL
//     addresses that a request brings along are refused, not passed over.
//   - authsign takes each token once. cfssl's token covers the request alone, so
//     that a copy of it would sign again: the [Memory] of what was answered
//     outlives the process, and a request must be fresh besides.
//   - Bodies are bounded, and each request is one [Entry] of the audit.
//
// A [Server] may be used concurrently.
package remote
