package tlswire

import (
	"bytes"
	"testing"
)

// find returns the decoded messages of type T that c holds, in order.
func find[T Body](t *testing.T, name string) []T {
	t.Helper()
	for i := range handshakeCases {
		if handshakeCases[i].name != name {
			continue
		}
		messages, _ := handshakeCases[i].record(t).read(t)
		var found []T
		for j := range messages {
			body, err := messages[j].Decode()
			if err != nil {
				t.Fatal(err)
			}
			if b, ok := body.(T); ok {
				found = append(found, b)
			}
		}
		return found
	}
	t.Fatalf("no case %q", name)
	return nil
}

func TestEncryptedClientHelloFields(t *testing.T) {
	hellos := find[*ClientHello](t, "TLS 1.3 encrypted hello accepted after HelloRetryRequest")
	if len(hellos) != 2 {
		t.Fatalf("%d hellos", len(hellos))
	}
	for i, h := range hellos {
		ech := h.EncryptedClientHello
		if h.ServerName != "outer.example" || ech == nil {
			t.Fatalf("hello %d is for %q, ECH %+v", i, h.ServerName, ech)
		}
		wantEnc := map[int]int{0: 32, 1: 0}[i] // not repeated: RFC 9849, Section 6.1.5
		if ech.Type != 0 || ech.KDF != 1 || ech.AEAD != 1 || ech.ConfigID != 42 || ech.EncLength != wantEnc || ech.PayloadLength < 100 {
			t.Errorf("hello %d: %+v", i, ech)
		}
	}
	servers := find[*ServerHello](t, "TLS 1.3 encrypted hello accepted after HelloRetryRequest")
	if len(servers) != 2 || !servers[0].HelloRetryRequest || servers[0].ECHConfirmationLength != 8 || servers[1].HelloRetryRequest {
		t.Errorf("server hellos are %+v", servers)
	}
	if servers[0].KeyShare.Group != GroupSecp384r1 || servers[0].KeyShare.KeyExchangeLength != 0 || servers[1].KeyShare.KeyExchangeLength != 97 {
		t.Errorf("key shares are %+v, %+v", servers[0].KeyShare, servers[1].KeyShare)
	}
}

func TestResumptionFields(t *testing.T) {
	h := find[*ClientHello](t, "TLS 1.3 resumed")[0]
	if h.PreSharedKey == nil || len(h.PreSharedKey.Identities) != 1 || h.PreSharedKey.Identities[0].IdentityLength < 100 ||
		len(h.PreSharedKey.BinderLengths) != 1 || h.PreSharedKey.BinderLengths[0] != 32 {
		t.Errorf("pre_shared_key is %+v", h.PreSharedKey)
	}
	if last := h.Extensions[len(h.Extensions)-1].Type; last != ExtPreSharedKey {
		t.Errorf("the last extension is %v", last)
	}
	if s := find[*ServerHello](t, "TLS 1.3 resumed")[0]; s.PreSharedKey == nil || *s.PreSharedKey != 0 {
		t.Errorf("selected_identity is %v", s.PreSharedKey)
	}
	if h := find[*ClientHello](t, "TLS 1.2 resumed")[0]; h.SessionTicketLength < 100 {
		t.Errorf("session_ticket has %d bytes", h.SessionTicketLength)
	}
}

func TestCertificateFields(t *testing.T) {
	chains := find[*Certificate](t, "TLS 1.3 stapled status and timestamps")
	server := chains[0].CertificateList
	if len(chains) != 2 || len(server) != 1 || !bytes.Equal(server[0].CertData, ecdsaCert().Certificate[0]) {
		t.Fatalf("certificates are %+v", chains)
	}
	if server[0].OCSPResponseLength != 5 || server[0].SCTCount != 2 || chains[0].Bytes() != len(server[0].CertData) {
		t.Errorf("certificate is %+v", server[0])
	}
	status := find[*CertificateStatus](t, "TLS 1.2 stapled status and timestamps")
	if len(status) != 1 || status[0].StatusType != 1 || status[0].ResponseLength != 5 {
		t.Errorf("status is %+v", status)
	}
	if h := find[*ServerHello](t, "TLS 1.2 stapled status and timestamps")[0]; !h.StatusRequest || h.SCTCount != 2 || h.ApplicationProtocol != "http/1.1" {
		t.Errorf("server hello is %+v", h)
	}
	if empty := find[*Certificate](t, "TLS 1.3 client has no certificate")[1]; len(empty.CertificateList) != 0 {
		t.Errorf("empty certificate is %+v", empty)
	}
	for _, name := range []string{"TLS 1.3 mutual", "TLS 1.2 AES-128-GCM"} {
		r := find[*CertificateRequest](t, name)[0]
		if len(r.CertificateAuthorities) != 1 || r.CertificateAuthorities[0].Text != `CN=Test Root,O=Example\, Inc.` ||
			!bytes.Equal(r.CertificateAuthorities[0].Raw, testCA().cert.RawSubject) || len(r.SignatureAlgorithms) == 0 {
			t.Errorf("%s: request is %+v", name, r)
		}
	}
}

func TestKeyExchangeFields(t *testing.T) {
	for name, want := range map[string]struct {
		scheme SignatureScheme
		curve  NamedGroup
	}{
		"TLS 1.2 AES-128-GCM":     {0x0403, GroupX25519},
		"TLS 1.2 RSA certificate": {0x0804, GroupX25519},
		"TLS 1.0":                 {0, GroupX25519},
	} {
		k := find[*ServerKeyExchange](t, name)[0]
		if k.Algorithm != want.scheme || k.NamedCurve != want.curve || k.PointLength != 32 || k.SignatureLength < 64 {
			t.Errorf("%s: %+v", name, k)
		}
	}
	for name, want := range map[string]int{"TLS 1.2 AES-128-GCM": 32, "TLS 1.2 RSA key exchange": 256} {
		if k := find[*ClientKeyExchange](t, name)[0]; k.ExchangeKeysLength != want {
			t.Errorf("%s: %+v, want %d bytes", name, k, want)
		}
	}
}
