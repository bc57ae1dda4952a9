package ca

import (
	"fmt"
	"path"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// manifestName is the form of names, which become file names: no hidden files,
// no way out of the directory, nothing that two file systems see differently.
var manifestName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*){0,3}$`)

// maxManifest bounds how much one manifest makes.
const maxManifest = 10000

func (r *manifestReader) manifest(n *yaml.Node) {
	r.caLife = life{lasts: manifestCALife, renew: renewal{percent: manifestRenew}}
	r.leafLife = life{lasts: manifestLeafLife, renew: renewal{percent: manifestRenew}}
	// The defaults come first, wherever they stand.
	var authorities, certificates, bundles *yaml.Node
	keep := func(into **yaml.Node) func(*yaml.Node) { return func(v *yaml.Node) { *into = v } }
	r.fields(n, "the manifest", map[string]func(*yaml.Node){
		"defaults": r.defaults, "authorities": keep(&authorities), "certificates": keep(&certificates), "bundles": keep(&bundles),
	})
	if authorities == nil {
		r.fail(nodePlace(n), "there are no authorities; at least a root is needed")
		return
	}
	r.named(authorities, "authorities", r.authority)
	if certificates != nil {
		r.named(certificates, "certificates", r.certificate)
	}
	if bundles != nil {
		r.named(bundles, "bundles", r.bundle)
	}
}

func (r *manifestReader) defaults(n *yaml.Node) {
	var renew renewal
	given := new([]string)
	r.fields(n, "defaults", map[string]func(*yaml.Node){
		"key": r.keyAlgo(&r.key), "renew_before": r.renewal(&renew),
		"authority_life": r.lasting(&r.caLife.lasts, new([]string), "authority_life", 0), "certificate_life": r.lasting(&r.leafLife.lasts, given, "certificate_life", 0),
	})
	if renew != (renewal{}) {
		r.caLife.renew, r.leafLife.renew = renew, renew
	}
}

// named reads a mapping of names.
func (r *manifestReader) named(n *yaml.Node, what string, each func(name string, key, value *yaml.Node)) {
	r.entries(n, what, func(key, value *yaml.Node) {
		if !manifestName.MatchString(key.Value) || len(key.Value) > 100 {
			r.fail(nodePlace(key), "%q is no name for files; use lower-case letters, digits, dots, hyphens, underscores, and slashes for directories", key.Value)
			return
		}
		each(key.Value, key, value)
	})
}

func (r *manifestReader) authority(name string, key, value *yaml.Node) {
	c := &manifestCA{name: name, cn: name, key: r.key, pathLen: Unlimited, life: r.caLife, at: nodePlace(key)}
	fields := map[string]func(*yaml.Node){
		"issuer": r.textAt(&c.issuer, &c.issuerAt), "name": r.text(&c.cn), "key": r.keyAlgo(&c.key),
		"path_len": r.number(&c.pathLen, 0, 32), "cross_signed_by": r.textAt(&c.crossBy, &c.crossAt),
		"permitted": r.names(&c.constraints.Permitted), "excluded": r.names(&c.constraints.Excluded),
		"crl": func(v *yaml.Node) { c.crl = r.crl(v) },
	}
	r.fields(value, "the authority "+name, r.addLife(fields, &c.life))
	if err := checkCommonName(c.cn); err != nil {
		r.failErr(c.at, err)
	}
	if _, err := c.constraints.extension(); err != nil {
		r.failErr(c.at, err)
	}
	r.m.authorities = append(r.m.authorities, c)
}

func (r *manifestReader) names(into *Names) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.fields(n, "name constraints", map[string]func(*yaml.Node){
			"dns": r.texts(&into.DNS, anyText), "ip": r.texts(&into.IP, anyText), "uri": r.texts(&into.URI, anyText), "email": r.texts(&into.Email, anyText),
		})
	}
}

func (r *manifestReader) crl(n *yaml.Node) *manifestCRL {
	c := &manifestCRL{life: life{lasts: manifestCRLLife, renew: r.caLife.renew}, at: nodePlace(n)}
	r.fields(n, "crl", r.addLife(map[string]func(*yaml.Node){"revoke": r.texts(&c.revoke, anyText)}, &c.life))
	return c
}

func (r *manifestReader) certificate(name string, key, value *yaml.Node) {
	c := &manifestLeaf{name: name, key: r.key, life: r.leafLife, at: nodePlace(key)}
	var usage, defect string
	var usageAt, defectAt place
	fields := map[string]func(*yaml.Node){
		"issuer": r.textAt(&c.issuer, &c.issuerAt), "for": r.textAt(&usage, &usageAt), "cn": r.text(&c.cn), "key": r.keyAlgo(&c.key),
		"sans": r.texts(&c.sans, func(s string) error { _, err := ParseSAN(s); return err }), "defect": r.textAt(&defect, &defectAt), "cross": r.boolean(&c.cross),
	}
	before := len(r.errs)
	r.fields(value, "the certificate "+name, r.addLife(fields, &c.life))
	if c.issuer == "" {
		r.fail(c.at, "the certificate %s has no issuer", name)
	}
	switch usage {
	case "server":
		c.usage = Server
	case "client":
		c.usage = Client
	case "peer", "both":
		c.usage = Both
	case "":
		c.usage = Both
	default:
		r.fail(usageAt, "for is server, client or peer, not %q%s", usage, didYouMean(usage, []string{"server", "client", "peer"}))
	}
	if defect != "" {
		r.defect(c, Defect(defect), usage == "", defectAt)
	}
	if len(r.errs) == before {
		if _, err := c.request().subject(); err != nil {
			r.failErr(c.at, fmt.Errorf("%s: %w", name, err))
		}
	}
	r.m.certificates = append(r.m.certificates, c)
}

// defect fills in what the case is for where nothing is said.
func (r *manifestReader) defect(c *manifestLeaf, d Defect, anyUsage bool, at place) {
	kind, err := Lookup(d)
	if err != nil {
		var names []string
		for _, k := range Catalogue() {
			names = append(names, string(k.Defect))
		}
		r.fail(at, "unknown defect %q%s", d, didYouMean(string(d), names))
		return
	}
	c.defect = d
	if anyUsage {
		c.usage = kind.Role
	}
	if kind.Role == Server && c.usage&Server == 0 {
		r.fail(at, "%s is a defect of a server's certificate", d)
	}
	if len(c.sans) == 0 && c.cn == "" {
		usual := kind.request()
		c.sans, c.cn = append([]string{usual.Name}, usual.SANs...), orDefault(usual.CommonName, usual.Name)
	}
}

// request is what the entry asks for, without its dates. The common name is the
// entry's own, unless it says another.
func (c *manifestLeaf) request() Request {
	r := Request{SANs: c.sans, CommonName: c.cn, Usage: c.usage, KeyAlgo: c.key}
	if name := path.Base(c.name); c.cn == "" && len(name) <= maxCommonName {
		r.CommonName = name
	}
	return r
}

func (r *manifestReader) bundle(name string, key, value *yaml.Node) {
	b := &manifestBundle{name: name, at: nodePlace(key)}
	r.texts(&b.of, anyText)(value)
	if len(b.of) == 0 {
		r.fail(b.at, "the bundle %s is empty; list authorities", name)
	}
	r.m.bundles = append(r.m.bundles, b)
}

// check looks at what the entries say of each other.
func (r *manifestReader) check() {
	m := r.m
	if n := len(m.authorities) + len(m.certificates); n > maxManifest {
		r.fail(place{}, "has %d entries, the most is %d", n, maxManifest)
		return
	}
	if len(m.authorities) == 0 {
		r.fail(place{1, 1}, "there are no authorities; at least a root is needed")
		return
	}
	var names []string
	for _, c := range m.authorities {
		names = append(names, c.name)
	}
	known := func(at place, name string) bool {
		if slices.Contains(names, name) {
			return true
		}
		if m.certificate(name) != nil {
			r.fail(at, "%s is a certificate, not an authority", name)
		} else {
			r.fail(at, "there is no authority %q%s", name, didYouMean(name, names))
		}
		return false
	}
	for _, c := range m.authorities {
		ok := c.issuer == "" || known(c.issuerAt, c.issuer)
		if c.crossBy != "" && known(c.crossAt, c.crossBy) && ok && (c.crossBy == c.name || c.crossBy == c.issuer) {
			r.fail(c.crossAt, "%s is signed by %s already", c.name, c.crossBy)
		}
	}
	for _, c := range m.certificates {
		known(c.issuerAt, c.issuer)
	}
	if len(r.errs) > 0 {
		return
	}
	r.order()
	for _, c := range m.authorities {
		if c.crl != nil {
			r.checkCRL(c)
		}
	}
	for _, c := range m.certificates {
		if c.defect == "revoked" && m.authority(c.issuer).crl == nil {
			r.fail(c.at, "%s is to be revoked, and %s has no crl; add one", c.name, c.issuer)
		}
	}
	for _, b := range m.bundles {
		for _, name := range b.of {
			base, cross := cutCross(m, name)
			if !known(b.at, base) {
				continue
			}
			b.cas, b.crosses = append(b.cas, m.authority(base)), append(b.crosses, cross)
		}
	}
	for file, places := range m.files() {
		if len(places) > 1 {
			r.fail(places[1], "%s would be written twice, by line %d too; choose another name", file, places[0].line)
		}
	}
}

// cutCross tells "new-cross", the cross certificate of "new".
func cutCross(m *Manifest, name string) (base string, cross bool) {
	const suffix = "-cross"
	if len(name) > len(suffix) && name[len(name)-len(suffix):] == suffix {
		if c := m.authority(name[:len(name)-len(suffix)]); c != nil && c.crossBy != "" {
			return c.name, true
		}
	}
	return name, false
}

func (r *manifestReader) checkCRL(c *manifestCA) {
	for _, name := range c.crl.revoke {
		leaf := r.m.certificate(name)
		if leaf == nil || leaf.issuer != c.name {
			r.fail(c.crl.at, "%s cannot revoke %q: it issues no such certificate", c.name, name)
		}
	}
}

// order puts issuers before what they issue, and finds circles.
func (r *manifestReader) order() {
	var out []*manifestCA
	done := map[*manifestCA]bool{}
	for _, c := range r.m.authorities {
		var way []*manifestCA
		for at := c; at != nil && !done[at]; at = r.m.authority(at.issuer) {
			if slices.Contains(way, at) {
				r.fail(c.issuerAt, "%s is its own issuer in the end (%s)", c.name, circle(way))
				return
			}
			way = append(way, at)
		}
		for _, w := range slices.Backward(way) {
			done[w] = true
			out = append(out, w)
		}
	}
	r.m.authorities = out
}

func circle(way []*manifestCA) string {
	s := ""
	for _, c := range way {
		s += c.name + " from "
	}
	return s + way[0].name
}
