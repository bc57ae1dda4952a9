package policy

import "strings"

// The index finds the few rules that a client may match among many. A rule is
// entered once for each value of one of its keys, its anchor: under the whole
// value, or under what is fixed in a glob: the last labels of a DNS name, the
// first segments of a path. A client is looked up under all it has, and what is
// found is matched as ever: the index decides nothing.

// maxFixed bounds the labels or segments of a glob that go into the index, and
// with it the look-ups a long name can cause.
const maxFixed = 8

// anchors are the keys a rule may be looked up by, the most telling first.
var anchors = []keyKind{
	keyCertSHA256, keySPKISHA256, keySPIFFEID, keySerial, keyURISAN, keyEmailSAN, keyDNSSAN, keyCN, keySNI, keyOU, keyO,
}

// Each entry begins with a byte for its kind and form.
func wholeKey(b []byte, kind keyKind) []byte { return append(b, 'a'+byte(kind)) }
func partKey(b []byte, kind keyKind) []byte  { return append(b, 'A'+byte(kind)) }

// makeIndex sorts the rules into those that can be looked up and those that
// cannot.
func (r *Rules) makeIndex() {
	r.index = make(map[string][]int32)
	for i := range r.rules {
		entries := r.rules[i].anchor()
		if entries == nil {
			r.scan = append(r.scan, int32(i))
		}
		for _, e := range entries {
			if e[0] >= 'a' {
				r.whole |= 1 << (e[0] - 'a')
			} else {
				r.parts |= 1 << (e[0] - 'A')
			}
			if list := r.index[e]; len(list) == 0 || list[len(list)-1] != int32(i) {
				r.index[e] = append(list, int32(i))
			}
		}
	}
}

// anchor returns the entries of the best key all of whose values have one; nil
// if there is no such key.
func (r *rule) anchor() []string {
	for _, kind := range anchors {
		if m := r.matcher(kind); m != nil {
			if entries := m.entries(); entries != nil {
				return entries
			}
		}
	}
	return nil
}

func (m *matcher) entries() []string {
	var out []string
	add := func(entry []byte) { out = append(out, string(entry)) }
	for i := range m.globs {
		switch g := &m.globs[i]; {
		case g.exact:
			add(append(wholeKey(nil, m.kind), g.text...))
		case g.lastFixed() != "":
			add(append(partKey(nil, m.kind), g.lastFixed()...))
		default:
			return nil
		}
	}
	for i := range m.uris {
		switch u := &m.uris[i]; {
		case u.exact():
			add(appendURI(wholeKey(nil, m.kind), &uriParts{u.scheme, u.host.text, u.path.text, u.opaque}))
		case !u.any && !u.opaque && u.host.exact:
			add(appendURI(partKey(nil, m.kind), &uriParts{u.scheme, u.host.text, u.path.firstFixed(), false}))
		default:
			return nil
		}
	}
	for i := range m.emails {
		switch e := &m.emails[i]; {
		case e.any || !e.domain.exact:
			return nil
		case e.local.exact:
			add(append(wholeKey(nil, m.kind), e.local.text+"@"+e.domain.text...))
		default:
			add(append(partKey(nil, m.kind), e.domain.text...))
		}
	}
	for i := range m.sums {
		add(append(wholeKey(nil, m.kind), m.sums[i][:]...))
	}
	for _, serial := range m.serials {
		add(append(wholeKey(nil, m.kind), serial...))
	}
	return out
}

// lastFixed returns the labels behind the last star, at most maxFixed; "" where
// there is none.
func (g *glob) lastFixed() string {
	if g.sep == 0 {
		return ""
	}
	from := len(g.parts)
	for from > 0 && len(g.parts)-from < maxFixed && !strings.Contains(g.parts[from-1], "*") {
		from--
	}
	return strings.Join(g.parts[from:], string(g.sep))
}

// firstFixed returns the segments of a path before the first star, at most
// maxFixed of them behind the empty one it begins with.
func (g *glob) firstFixed() string {
	to := 0
	for to < len(g.parts) && to <= maxFixed && !strings.Contains(g.parts[to], "*") {
		to++
	}
	return strings.Join(g.parts[:to], string(g.sep))
}

// A finder looks one client up.
type finder struct {
	rules *Rules
	facts *facts
	best  int // the first rule that matched so far
	room  [512]byte
}

func (r *Rules) lookUp(f *facts) int {
	if r.whole|r.parts == 0 {
		return len(r.rules)
	}
	d := finder{rules: r, facts: f, best: len(r.rules)}
	if f.ServerName != "" {
		d.dnsName(keySNI, f.ServerName)
	}
	if f.Leaf != nil {
		d.certificate()
	}
	return d.best
}

func (d *finder) certificate() {
	f, leaf := d.facts, d.facts.Leaf
	if d.looks(keyCertSHA256) {
		d.find(append(wholeKey(d.room[:0], keyCertSHA256), f.certSum()[:]...))
	}
	if d.looks(keySPKISHA256) {
		d.find(append(wholeKey(d.room[:0], keySPKISHA256), f.spkiSum()[:]...))
	}
	if d.looks(keySerial) {
		d.find(append(wholeKey(d.room[:0], keySerial), f.serial[f.serialAt:]...))
	}
	for i := range leaf.URIs {
		d.uri(keySPIFFEID, i)
		d.uri(keyURISAN, i)
	}
	for _, a := range leaf.EmailAddresses {
		d.email(a)
	}
	for _, name := range leaf.DNSNames {
		d.dnsName(keyDNSSAN, name)
	}
	d.text(keyCN, leaf.Subject.CommonName)
	for _, ou := range leaf.Subject.OrganizationalUnit {
		d.text(keyOU, ou)
	}
	for _, o := range leaf.Subject.Organization {
		d.text(keyO, o)
	}
}

// looks reports whether rules are looked up by whole values of a kind, looksIn
// whether by parts.
func (d *finder) looks(kind keyKind) bool   { return d.rules.whole&(1<<kind) != 0 }
func (d *finder) looksIn(kind keyKind) bool { return d.rules.parts&(1<<kind) != 0 }

func (d *finder) text(kind keyKind, s string) {
	if d.looks(kind) {
		d.find(append(wholeKey(d.room[:0], kind), s...))
	}
}

func (d *finder) dnsName(kind keyKind, name string) {
	name = dnsText(name)
	if d.looks(kind) {
		d.find(appendLower(wholeKey(d.room[:0], kind), name))
	}
	if !d.looksIn(kind) {
		return
	}
	at := len(name)
	for n := 0; n < maxFixed && at > 0; n++ {
		at = strings.LastIndexByte(name[:at], '.')
		d.find(appendLower(partKey(d.room[:0], kind), name[at+1:]))
	}
}

func (d *finder) email(address string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return
	}
	domain := dnsText(address[at+1:])
	if d.looks(keyEmailSAN) {
		d.find(appendLower(append(wholeKey(d.room[:0], keyEmailSAN), address[:at+1]...), domain))
	}
	if d.looksIn(keyEmailSAN) {
		d.find(appendLower(partKey(d.room[:0], keyEmailSAN), domain))
	}
}

func (d *finder) uri(kind keyKind, i int) {
	if !d.looks(kind) && !d.looksIn(kind) {
		return
	}
	u := d.facts.uri(i)
	if d.looks(kind) {
		d.find(appendURI(wholeKey(d.room[:0], kind), &u))
	}
	if !d.looksIn(kind) || u.opaque {
		return
	}
	whole := u.path
	at := -1
	for n := 0; n <= maxFixed+1; n++ {
		next := strings.IndexByte(whole[at+1:], '/')
		if next < 0 {
			break
		}
		at += 1 + next
		u.path = whole[:at]
		d.find(appendURI(partKey(d.room[:0], kind), &u))
	}
}

// find tries the rules of an entry, as far as the best that is known.
func (d *finder) find(entry []byte) {
	for _, i := range d.rules.index[string(entry)] {
		if int(i) >= d.best {
			return
		}
		if d.rules.rules[i].matches(d.facts) {
			d.best = int(i)
			return
		}
	}
}

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lowerByte(s[i]))
	}
	return b
}

// appendURI writes a URI with its scheme and host in lower case.
func appendURI(b []byte, u *uriParts) []byte {
	b = append(appendLower(b, u.scheme), ':')
	if !u.opaque {
		b = appendLower(append(b, "//"...), u.host)
	}
	return append(b, u.path...)
}
