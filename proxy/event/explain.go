package event

// Explanation says what a reason means to the people concerned. It speaks of
// the reason in general; what was special about one connection is in the
// event's detail.
type Explanation struct {
	What      string `json:"what"`                 // what happened, one sentence
	Why       string `json:"why,omitempty"`        // how it comes about, and what misleads
	FixClient string `json:"fix_client,omitempty"` // what whoever runs the client can do
	FixServer string `json:"fix_server,omitempty"` // what whoever runs the proxy can do
	Check     string `json:"check,omitempty"`      // a command that shows whether it is mended
}

// Fix returns the advice in one line: the client's side first, then ours.
func (x Explanation) Fix() string {
	switch {
	case x.FixClient == "":
		return x.FixServer
	case x.FixServer == "":
		return x.FixClient
	}
	return "client: " + x.FixClient + "; proxy: " + x.FixServer
}

// Explain returns what the reason means. Every reason has an explanation; that
// of [OK] has only a What.
func (r Reason) Explain() Explanation {
	if r >= reasonCount {
		r = Internal
	}
	return explanations[r]
}

const checkWithCert = "openssl s_client -connect ADDRESS -cert CERT -key KEY -cert_chain CERT -CAfile CA"

var explanations = [reasonCount]Explanation{
	OK: {What: "the client was let in"},

	TCPProbe: {
		What:      "the connection was closed before a byte arrived",
		Why:       "health checks and port scanners connect and close; no TLS was tried",
		FixServer: "nothing to mend; logging.probes sets how loudly such connections are told",
	},
	TCPReset: {
		What:      "the connection was reset before a byte arrived",
		Why:       "port scanners and some load balancers' health checks end with RST instead of FIN",
		FixServer: "nothing to mend; logging.probes sets how loudly such connections are told",
	},

	LimitConnections: {
		What:      "the listener already holds as many connections as it may",
		Why:       "limits.max_connections bounds memory and descriptors",
		FixClient: "close connections that are no longer needed, or try again later",
		FixServer: "raise limits.max_connections (and the nofile limit with it), or shorten timeouts.idle",
	},
	LimitUnauthenticated: {
		What:      "the listener already holds as many connections that are not let in yet as it may",
		Why:       "limits.max_unauthenticated keeps newcomers from taking the room of established clients; none of them had kept the proxy waiting, so none was closed in favour of this one: a rush of clients, or a flood faster than one connection a second for each place",
		FixClient: "try again after a pause that grows and is not the same for all clients",
		FixServer: "set limits.on_limit: wait, raise limits.max_unauthenticated, or bound single sources with limits.per_ip_unauthenticated or a firewall",
	},
	LimitMadeRoom: {
		What:      "the client kept the proxy waiting and was closed to make room for another",
		Why:       "limits.max_unauthenticated or limits.max_connections was reached; then the clients that have not been let in go first that have kept the proxy waiting in their turn for more than a second, else those that have not said all of their ClientHello",
		FixClient: "start TLS at once after connecting, and answer without a pause",
		FixServer: "look for a flood of silent clients (limits.per_ip_unauthenticated bounds single sources); raise the limit if they are good clients that are slow",
	},
	LimitPerIPUnauthenticated: {
		What:      "one client address holds as many connections that are not let in yet as it may",
		Why:       "an IPv6 /64 counts as one address; behind NAT or a load balancer many clients share one",
		FixClient: "finish handshakes before opening more connections",
		FixServer: "raise limits.per_ip_unauthenticated; 0 lifts it",
	},
	LimitHandshakes: {
		What:      "too many handshakes were to be computed at once",
		Why:       "limits.max_handshakes guards the CPU: a handshake is the dearest thing a connection does",
		FixClient: "keep connections open and reuse them, or resume sessions",
		FixServer: "raise limits.max_handshakes, or set limits.on_limit: wait",
	},
	LimitLargeHandshakes: {
		What:      "too many clients sent more than 16 KiB in their handshakes at once",
		Why:       "what a client sends before it is let in takes memory; an honest one sends 2 to 6 KiB, so 64 at once may send more, and others wait until one of these is done",
		FixClient: "send the certificates between the client's and the CA's only, and not a whole bundle",
		FixServer: "look for a flood of oversized handshakes (limits.per_ip_unauthenticated bounds single sources)",
	},
	LimitRate: {
		What:      "connections arrive faster than limits.accept_rate allows",
		FixClient: "keep connections open and reuse them",
		FixServer: "raise limits.accept_rate, or set limits.on_limit: wait",
	},
	LimitPerIP: {
		What:      "one client address holds as many connections as it may",
		Why:       "behind NAT or a load balancer many clients share an address",
		FixClient: "close connections that are no longer needed",
		FixServer: "raise limits.per_ip_connections",
	},
	LimitDescriptors: {
		What:      "the process has no file descriptors to spare",
		Why:       "every proxied connection needs two, and 64 are kept for all else",
		FixServer: "raise the nofile limit (ulimit -n, LimitNOFILE=), or lower limits.max_connections, of all listeners together, to (nofile - 64) / 2",
	},

	FirstByteTimeout: {
		What:      "the client connected and said nothing",
		Why:       "it may wait for a banner (a protocol where the server speaks first), be a pre-connection that was never used, or a client that hangs",
		FixClient: "start TLS at once after connecting",
		FixServer: "lengthen timeouts.first_byte if slow clients are expected",
	},
	HandshakeTimeout: {
		What:      "the handshake was not finished in time",
		Why:       "the client stopped answering: a PIN or certificate prompt, a slow link, or a path that drops large segments",
		FixClient: "look at what the client was waiting for; check the path's MTU if the first flight never arrives",
		FixServer: "lengthen timeouts.handshake if slow clients are expected",
	},

	ProxyHeaderMissing: {
		What:      "the listener requires a PROXY protocol header and none came",
		FixClient: "connect through the load balancer that adds the header",
		FixServer: "set proxy_protocol.accept: optional, or none",
	},
	ProxyHeaderInvalid: {
		What:      "the PROXY protocol header could not be read",
		FixClient: "send a v1 or v2 header before the TLS handshake",
		FixServer: "check which version the load balancer sends",
	},
	PeerClosed: {
		What:      "the client closed the connection in the middle of the handshake",
		Why:       "it gave up, was stopped, or refused without saying so",
		FixClient: "look into the client's own log at this moment",
	},
	PeerReset: {
		What:      "the client reset the connection in the middle of the handshake",
		Why:       "the client's process ended, or something between the two cut the connection",
		FixClient: "look into the client's own log at this moment",
	},
	NotTLSHTTP: {
		What:      "the client spoke plain HTTP to a TLS port",
		FixClient: "use https:// in the URL",
		FixServer: "publish the https:// address",
	},
	NotTLS: {
		What:      "what arrived was not TLS",
		Why:       "another protocol was spoken to this port, or a PROXY protocol header came that the listener does not expect",
		FixClient: "connect to the right port, with TLS switched on from the first byte (not STARTTLS)",
		FixServer: "if a load balancer sends PROXY protocol headers, switch them off there: this listener takes none",
	},
	TLSMalformed: {
		What:      "the client's TLS messages could not be understood, or came out of turn",
		Why:       "a broken client, a scanner, or something between the two that changes the stream",
		FixClient: "try another client from the same place to tell the client from the path",
	},

	VersionMismatch: {
		What:      "client and proxy have no TLS version in common",
		FixClient: "enable TLS 1.2 or 1.3 in the client",
		FixServer: "lower tls.min_version if the client cannot be changed (1.2 is the lowest)",
		Check:     "openssl s_client -connect ADDRESS -brief",
	},
	CipherMismatch: {
		What:      "client and proxy have no cipher suite in common",
		Why:       "at TLS 1.2 the suite must also fit the certificate's key: an ECDSA key needs an ECDSA suite",
		FixClient: "enable ECDHE suites with AES-GCM or ChaCha20",
		FixServer: "widen tls.cipher_suites, or add a certificate with the other kind of key",
	},
	GroupMismatch: {
		What:      "client and proxy have no key exchange group in common",
		FixClient: "enable X25519 or P-256",
		FixServer: "widen tls.curves",
	},
	SignatureMismatch: {
		What:      "the client accepts no signature that the proxy's certificate can make",
		FixClient: "enable ecdsa_secp256r1_sha256 and rsa_pss_rsae_sha256",
		FixServer: "add a certificate with the other kind of key",
	},
	ALPNMismatch: {
		What:      "the client asked for application protocols (ALPN) of which the proxy offers none",
		FixClient: "offer one of the listener's protocols, or no ALPN at all",
		FixServer: "add the protocol to tls.alpn, or set tls.alpn: [] to negotiate nothing",
	},
	SNIUnknown: {
		What:      "the client named a server (SNI) for which the proxy has no certificate",
		FixClient: "connect with a name that is in the proxy's certificate",
		FixServer: "add a certificate for the name, or set tls.unknown_sni: default",
	},

	ClientCertMissing: {
		What:      "the proxy asked for a client certificate and none came",
		Why:       "the client has none, or holds it back because its issuer is not among the CAs we named: Go, Java, GnuTLS and browsers do that silently",
		FixClient: "configure a certificate and key, and make the file hold the whole chain (leaf, then intermediates)",
		FixServer: "see that client_auth.ca names the issuer of the clients' certificates, or set client_auth.advertise_cas: false so that clients offer what they have",
		Check:     checkWithCert,
	},
	ClientCertExpired: {
		What:      "the client's certificate, or one in its chain, has expired",
		Why:       "the client may call it \"certificate expired\" and mean its own; at TLS 1.2 curl blames the server",
		FixClient: "renew the certificate",
		FixServer: "if all clients fail, check this machine's clock",
		Check:     "openssl x509 -in CERT -noout -dates",
	},
	ClientCertNotYetValid: {
		What:      "the client's certificate is not valid yet",
		Why:       "it was just issued, or the issuer's, the client's or this machine's clock is off; on the wire it looks like an expired one",
		FixClient: "check the issuer's clock, or wait until the certificate begins",
		FixServer: "check this machine's clock",
		Check:     "openssl x509 -in CERT -noout -dates",
	},
	ClientCertWrongUsage: {
		What:      "the client's certificate is not meant for client authentication",
		Why:       "its extended key usage lacks clientAuth; usually a server's certificate is being used as a client's",
		FixClient: "use a certificate issued with extended key usage clientAuth",
		Check:     "openssl x509 -in CERT -noout -ext extendedKeyUsage",
	},
	ClientCAUnknown: {
		What:      "the client's certificate was issued by a CA the proxy does not trust",
		FixClient: "use a certificate of a CA that the proxy accepts; if its issuer stands below one of those, send that along (leaf, then intermediates)",
		FixServer: "add the issuing CA to client_auth.ca, if it is to be trusted",
		Check:     "openssl verify -CAfile CA CERT",
	},
	ClientChainIncomplete: {
		What:      "the client sent its certificate without the intermediate that issued it",
		Why:       "nothing is wrong with the certificate; the file holds only the leaf, or the client sends only the leaf (openssl s_client needs -cert_chain)",
		FixClient: "make the certificate file hold the leaf and then its intermediates",
		FixServer: "hand out chain files to clients",
		Check:     checkWithCert,
	},
	ClientCARegenerated: {
		What:      "the client's certificate was issued by a CA with the right name but another key",
		Why:       "the CA was created again under the same name; certificates of the old one no longer verify",
		FixClient: "have the certificate issued again by today's CA",
		FixServer: "if the old CA is still to be trusted, add it to client_auth.ca beside the new one",
		Check:     "openssl verify -CAfile CA CERT",
	},
	ClientCertSelfSigned: {
		What:      "the client's certificate is signed by itself",
		FixClient: "use a certificate issued by a CA that the proxy trusts",
		FixServer: "to trust this one client, issue it a certificate instead of adding its own to client_auth.ca",
	},
	ClientCertSignature: {
		What:      "a signature in the client's chain does not verify",
		Why:       "the certificate was damaged or tampered with, or its issuer's key is not the one its name suggests",
		FixClient: "have the certificate issued again",
		Check:     "openssl verify -CAfile CA -untrusted CERT CERT",
	},
	ClientCertWeak: {
		What:      "a certificate in the client's chain uses a signature or key too weak to be accepted",
		Why:       "SHA-1 signatures and short RSA keys are refused",
		FixClient: "have the certificate issued again with SHA-256 and ECDSA P-256 or RSA of at least 2048 bits",
		Check:     "openssl x509 -in CERT -noout -text",
	},
	ClientCertConstraint: {
		What:      "the client's chain breaks a rule that one of its CAs sets",
		Why:       "name constraints, path length, a certificate that is no CA used as one, or a critical extension nobody here understands",
		FixClient: "have the certificate issued within the CA's constraints",
	},
	ClientCertMalformed: {
		What:      "the client's certificate could not be parsed",
		Why:       "Go is stricter than OpenSSL: negative serial numbers, duplicate extensions and malformed names are refused",
		FixClient: "have the certificate issued again by a current tool",
	},
	ClientChainTooBig: {
		What:      "the client's chain is longer or larger than the proxy accepts",
		FixClient: "send the leaf and the intermediates it needs, nothing else",
		FixServer: "raise client_auth.max_depth or client_auth.max_chain_size",
	},
	ClientCertRevoked: {
		What:      "the client's certificate has been revoked by its CA",
		FixClient: "have a new certificate issued",
		FixServer: "if it should not be revoked, publish a new CRL without it",
	},
	RevocationUnavailable: {
		What:      "whether the client's certificate is revoked could not be found out",
		Why:       "the CRL is missing, stale or unusable, or the responder did not answer",
		FixServer: "renew the CRL, or choose revocation.mode: soft",
	},
	ClientKeyMismatch: {
		What:      "the client could not prove that it holds the certificate's private key",
		Why:       "certificate and key do not belong together, or the device that holds the key failed",
		FixClient: "use the key that belongs to the certificate",
		Check:     "openssl x509 -in CERT -noout -pubkey; openssl pkey -in KEY -pubout",
	},

	PolicyDenied: {
		What:      "the client's certificate is good, but the policy does not let it in",
		FixClient: "use an identity that the policy allows",
		FixServer: "change the rule that is named, if this client is to be let in",
	},

	ServerCertUntrusted: {
		What:      "the client refused the proxy's certificate",
		Why:       "it does not trust the CA, or the certificate is not for the name it used; Go's TLS library calls the OpenSSL form of this refusal \"bad record MAC\", and it is no corruption",
		FixClient: "trust the proxy's CA (curl --cacert CA, SSL_CERT_FILE, NODE_EXTRA_CA_CERTS), and use a name from its certificate",
		FixServer: "see that the certificate file holds the intermediates, and the certificate the names that clients use",
		Check:     "openssl s_client -connect ADDRESS -servername NAME -CAfile CA -verify_return_error",
	},
	ServerCertExpired: {
		What:      "the client refused the proxy's certificate because it has expired",
		Why:       "the certificate has, or the client's clock is wrong",
		FixClient: "check the client's clock",
		FixServer: "renew the certificate and reload",
	},
	ClientAlertOther: {
		What:      "the client broke off the handshake with an alert",
		FixClient: "look into the client's own log at this moment; the alert's name says what it objected to",
	},

	UpstreamRefused: {
		What:      "the upstream refused the connection",
		Why:       "nothing listens at that address",
		FixServer: "start the service, or correct the upstream's address",
	},
	UpstreamTimeout: {
		What:      "the upstream did not answer in time",
		Why:       "it is down, overloaded, or a firewall drops the segments silently",
		FixServer: "check the upstream and the path to it; dial_timeout bounds the wait",
	},
	UpstreamUnreachable: {
		What:      "the upstream could not be reached",
		Why:       "there is no route, the socket file is missing, or this process may not open it",
		FixServer: "check the address, the route and, for a unix socket, its path and permissions",
	},
	UpstreamDNS: {
		What:      "the upstream's name could not be resolved",
		FixServer: "check the name and this machine's resolver",
	},
	UpstreamTLS: {
		What:      "the TLS handshake with the upstream failed",
		FixServer: "check the upstream's certificate and the CA it is held against",
	},
	UpstreamPortsExhausted: {
		What:      "no local port was left to reach the upstream from",
		Why:       "each connection to one upstream address needs its own local port, and closed ones keep theirs for a minute in TIME_WAIT",
		FixServer: "give the upstream several addresses, widen net.ipv4.ip_local_port_range, or reach it through a unix socket",
	},

	UpstreamSourceExhausted: {
		What:      "no local port is left at the source address for connections to the upstream",
		Why:       "a source address has one port for each open connection to one upstream address, and ports in TIME_WAIT count",
		FixServer: "take upstreams.*.source out or give the upstream more addresses, widen net.ipv4.ip_local_port_range, or keep connections open for longer",
		Check:     "ss -tan dst UPSTREAM | wc -l; sysctl net.ipv4.ip_local_port_range",
	},
	UpstreamSourceUnusable: {
		What:      "the source address for connections to the upstream cannot be used",
		Why:       "this machine does not have the address, or not yet, or the upstream is of the other IP version",
		FixServer: "set upstreams.*.source to an address of this machine, or to \"\" for the kernel's choice",
		Check:     "ip address; ip route get UPSTREAM from SOURCE",
	},
	ServerConfig: {
		What:      "the proxy could not use its own certificate or key",
		FixServer: "see the detail; check the certificate and key the listener names",
	},
	Shutdown: {
		What:      "the proxy was being stopped",
		FixClient: "connect again",
	},
	Internal: {
		What:      "something happened that the proxy does not know by name",
		Why:       "the library's own words are in error.message",
		FixServer: "please report it with the log line",
	},
}
