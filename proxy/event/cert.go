package event

import "time"

// CertLoaded: a certificate or a set of CAs is in use from now on. Of several,
// the one that runs out first stands for all.
type CertLoaded struct {
	Kind     string // server, client_ca
	Key      string // where the configuration names it
	File     string
	Subject  string
	Serial   string
	NotAfter time.Time
	DaysLeft int // whole days
	Count    int // certificates in it
}

// Name returns "cert.loaded".
func (CertLoaded) Name() string { return "cert.loaded" }

// Level returns [Info].
func (CertLoaded) Level() Level { return Info }

// Tell implements [Body].
func (b CertLoaded) Tell(f Facts) {
	b.tellOne(f)
	f.Int("count", int64(b.Count))
}

// tellOne tells of the certificate that stands for all.
func (b *CertLoaded) tellOne(f Facts) {
	f.Text("kind", b.Kind)
	f.Text("key", b.Key)
	f.Text("file", b.File)
	f.Text("subject", b.Subject)
	f.Text("serial", b.Serial)
	f.Time("not_after", b.NotAfter)
	f.Int("days_left", int64(b.DaysLeft))
}

// CertExpiring: a certificate that was loaded, and is served, has less than a tenth
// of its life left.
type CertExpiring struct {
	CertLoaded
	Detail string
}

// Name returns "cert.expiring".
func (CertExpiring) Name() string { return "cert.expiring" }

// Level returns [Warn].
func (CertExpiring) Level() Level { return Warn }

// Tell implements [Body].
func (b CertExpiring) Tell(f Facts) {
	b.tellOne(f)
	f.Text("detail", b.Detail)
}

// CertWarning: a certificate file in use deserves attention for another reason.
type CertWarning struct {
	Kind   string
	Key    string
	File   string
	Detail string
}

// Name returns "cert.warning".
func (CertWarning) Name() string { return "cert.warning" }

// Level returns [Warn].
func (CertWarning) Level() Level { return Warn }

// Tell implements [Body].
func (b CertWarning) Tell(f Facts) {
	f.Text("kind", b.Kind)
	f.Text("key", b.Key)
	f.Text("file", b.File)
	f.Text("detail", b.Detail)
}
