package configs

import "time"

// ClientAuth is about the client's certificate.
type ClientAuth struct {
	// Whether a client certificate is asked for: none, request (verified if given), require.
	Mode string `mapstructure:"mode" enum:"none|request|require" alias:"client_auth" short:"--client-auth"`
	// What a refusal does: enforce it, or report it (let the client through, log and count what would be refused).
	Enforcement string `mapstructure:"enforcement" enum:"enforce|report"`
	// With mode request, what a certificate that does not verify does: reject the client, or flag its identity as unverified.
	OnInvalid string `mapstructure:"on_invalid" enum:"reject|flag"`
	// Trust anchors for client certificates, PEM files or directories of them.
	CA []string `mapstructure:"ca" is:"path" short:"--client-ca"`
	// Intermediate certificates that help to build chains; they are not trusted by themselves.
	Intermediates []string `mapstructure:"intermediates" is:"path"`
	// Send the names of the CAs to the client; false sends an empty list, and clients offer whatever certificate they have.
	AdvertiseCAs bool `mapstructure:"advertise_cas"`
	// Certificates allowed between the client's and the trust anchor.
	MaxDepth int `mapstructure:"max_depth" unit:"certificates" max:"16"`
	// Largest Certificate message accepted from a client.
	MaxChainSize Size `mapstructure:"max_chain_size" min:"1KiB" max:"256KiB"`
	// Certificates that were taken back, by revocation lists.
	Revocation Revocation `mapstructure:"revocation"`
	// Certificates that were taken back, by asking the CA's responder after the handshake and before the upstream is dialed.
	OCSP OCSP `mapstructure:"ocsp"`
	// What happens to open connections that would no longer be let in, because of a reload or since the certificate has run out: end them, report them, or nothing.
	Recheck string `mapstructure:"recheck" enum:"end|report|none"`
	// Alerts of refusals: precise (the one RFC 8446 has for the cause), or the library's (mostly bad_certificate).
	Alerts string `mapstructure:"alerts" enum:"precise|library"`
}

// Revocation is about certificate revocation lists.
type Revocation struct {
	// Whether lists are asked: none, soft (where nobody knows the client passes, and is counted), hard (it is refused).
	Mode string `mapstructure:"mode" enum:"none|soft|hard"`
	// Revocation lists, PEM or DER files or directories of them; at most 16 MiB a file.
	CRL []string `mapstructure:"crl" is:"path"`
	// Age after which a list counts as stale although it says otherwise; 0s trusts its next update.
	MaxAge time.Duration `mapstructure:"max_age"`
	// Which certificates are looked up: the client's alone (leaf), or all of its chain but the root, which takes a list of each CA on the way.
	Scope string `mapstructure:"scope" enum:"leaf|chain"`
	// What a list past its next update or max_age does: as the mode says, soft or hard.
	OnStale string `mapstructure:"on_stale" enum:"mode|soft|hard"`
	// What a CA without a list does: as the mode says, soft or hard.
	OnMissing string `mapstructure:"on_missing" enum:"mode|soft|hard"`
}

// OCSP is about asking the CA's responder (RFC 6960).
type OCSP struct {
	// Whether the responder is asked: none, soft (where nobody knows the client passes, and is counted), hard (it is refused).
	Mode string `mapstructure:"mode" enum:"none|soft|hard"`
	// URL to ask in place of the one in the client's certificate.
	Responder string `mapstructure:"responder" is:"http_or_empty"`
	// How long the client waits for the answer, all tries together.
	Timeout time.Duration `mapstructure:"timeout" min:"50ms" max:"30s"`
	// Ask for an answer made just now. Responders that make theirs beforehand leave it out, which is let pass.
	Nonce bool `mapstructure:"nonce"`
}

// ServerName is the client certificate policy of some server names.
type ServerName struct {
	// The names, as clients send them: api.example, *.internal for one label before it, **.internal for any number. An exact name comes before a pattern, a longer pattern before a shorter.
	Names []string `mapstructure:"names" is:"server_name"`
	// As the client_auth of the listener; keys that are left out are what they are there.
	ClientAuth ClientAuth `mapstructure:"client_auth"`
}
