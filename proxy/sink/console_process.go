package sink

import (
	"fmt"
	"strings"

	"mtlsproxy/proxy/event"
)

// process writes the line of an event that is about the process as a whole, and
// reports whether b is one.
func (c *consoleEncoder) process(b event.Body) bool {
	switch b := b.(type) {
	case event.ProxyStart:
		c.start(plain, '·', "start")
		c.column(1, fmt.Sprintf("proxy %s (%s)", b.Version, b.Go), 0)
		c.say(fmt.Sprintf("pid %d", b.PID))
		c.say(prefixed("config ", b.Config))
	case event.ProxyReady:
		c.proxyReady(b)
	case event.Readiness:
		if b.Ready {
			c.start(good, '✔', "ready")
			c.column(1, "whoever asks is told so again", 0)
			break
		}
		c.start(warning, '!', "unready")
		c.column(1, "whoever asks is told so", 0)
		c.finally(strings.Join(b.Failed, "; "))
	case event.ProxyDraining:
		c.start(plain, '·', "draining")
		c.column(1, fmt.Sprintf("no new connections; %s may finish within %s", counted(b.Active, "open one", "open ones"), b.Timeout), 0)
	case event.ProxyStop:
		c.start(plain, '·', "stopped")
		c.column(1, fmt.Sprintf("%d finished, %d cut", b.Drained, b.Cut), 0)
		if b.Pending > 0 {
			c.say(counted(b.Pending, "socket", "sockets") + " still with the kernel")
		}
		c.say(took(b.Duration))
	case event.ConfigLoaded:
		c.start(good, '✔', "reloaded")
		c.column(1, "configuration ("+b.Trigger+")", 0)
		if len(b.Changed) == 0 {
			c.say("nothing changed")
		} else {
			c.finally("changed: " + strings.Join(b.Changed, ", "))
		}
	case event.ConfigRejected:
		c.configRejected(b)
	case event.CertLoaded:
		c.certLoaded(b)
	case event.CertExpiring:
		c.certWarning(event.CertWarning{Kind: b.Kind, Key: b.Key, File: b.File, Detail: b.Detail})
	case event.CertWarning:
		c.certWarning(b)
	case event.SocketOptions:
		c.socketOptions(b)
	case event.SocketOption:
		c.socketOption(b)
	case event.TCPTiers:
		c.tcpTiers(b)
	case event.AcceptPaused:
		c.start(bad, '✘', "accept")
		c.column(1, "listener "+b.Listener, 0)
		c.say(b.Reason.String())
		c.say("tried again after " + took(b.Pause))
		c.explain(b.Reason, b.Detail)
	case event.LimitLowered:
		c.start(warning, '!', "limit")
		c.column(1, "listener "+b.Listener, 0)
		c.say(fmt.Sprintf("%s is %d instead of %d", b.Key, b.Value, b.Asked))
		c.explain(b.Reason, "")
	case event.LogDropped:
		c.start(warning, '!', "dropped")
		c.column(1, counted(int(b.Events), "event is", "events are")+" missing here: the log could not keep up or could not be written", 0)
	default:
		return false
	}
	return true
}

func (c *consoleEncoder) proxyReady(b event.ProxyReady) {
	c.start(good, '✔', "ready")
	c.column(1, counted(len(b.Listeners), "listener", "listeners"), 0)
	c.say(took(b.Duration))
	for _, l := range b.Listeners {
		c.end()
		c.column(indent, "listening", 0)
		c.say(l.Name + " " + l.Address + " → " + l.Upstream)
		c.column(3, clientAuth(l.ClientAuth), 0)
	}
	if b.Telemetry != "" {
		c.end()
		c.column(indent, "telemetry", 0)
		c.say(b.Telemetry)
	}
}

// clientAuth says what a mode means to clients.
func clientAuth(mode string) string {
	switch mode {
	case "require":
		return "client certificate required"
	case "request":
		return "client certificate requested"
	case "none":
		return "no client certificate asked for"
	}
	return prefixed("client certificate: ", mode)
}

func (c *consoleEncoder) configRejected(b event.ConfigRejected) {
	c.start(bad, '✘', "rejected")
	c.column(1, "configuration ("+b.Trigger+"); the previous one stays in force", 0)
	for _, finding := range b.Findings {
		c.below(finding)
	}
	if len(b.NeedsRestart) > 0 {
		c.below("needs a restart: " + strings.Join(b.NeedsRestart, ", "))
	}
}

func (c *consoleEncoder) certLoaded(b event.CertLoaded) {
	c.start(plain, '·', "cert")
	c.column(1, b.Kind, 0)
	c.say(b.Subject)
	if b.Count > 1 {
		c.say(number(int64(b.Count)) + " certificates")
	}
	c.say(prefixed("serial ", b.Serial))
	if !b.NotAfter.IsZero() {
		c.say("until " + b.NotAfter.UTC().Format("2006-01-02") + " (" + counted(b.DaysLeft, "day", "days") + " left)")
	}
	c.finally(b.File)
}

func (c *consoleEncoder) certWarning(b event.CertWarning) {
	c.start(warning, '!', "cert")
	c.column(1, b.Kind, 0)
	c.say(b.File)
	c.say(bracketed(b.Key))
	c.finally(b.Detail)
}

// socketOptions names the options that came out otherwise than they were asked
// for; all of them where the console is verbose.
func (c *consoleEncoder) socketOptions(b event.SocketOptions) {
	c.start(plain, '·', "options")
	c.column(1, socketOf(b.Object, b.Listener+b.Upstream), 0)
	var told []string
	for _, o := range b.Options {
		value := o.Got
		differs := o.Asked != "" && o.Asked != o.Got
		if differs {
			value = o.Asked + " → " + o.Got
		}
		if differs || c.verbose {
			told = append(told, o.Key+"="+quoteWhereNeeded(value))
		}
	}
	if len(told) == 0 {
		told = []string{counted(len(b.Options), "socket option", "socket options") + " as asked"}
	}
	c.flow(strings.Join(told, " "))
}

// tcpTiers says how TCP is watched; what more could be had, only where the console
// is verbose or nothing works.
func (c *consoleEncoder) tcpTiers(b event.TCPTiers) {
	c.start(plain, '·', "tcp")
	if len(b.Active) == 0 {
		c.column(1, "not watched: nothing works here", 0)
	} else {
		c.column(1, "watched by "+strings.Join(b.Active, ", "), 0)
	}
	c.say(b.Note)
	if c.verbose || len(b.Active) == 0 {
		for _, tiers := range [][]event.TCPTier{b.Missing, b.Unasked} {
			for _, t := range tiers {
				c.below("without " + t.String())
			}
		}
		return
	}
	if len(b.Missing) > 0 {
		c.say(counted(len(b.Missing), "more tier does", "more tiers do") + " not work here (-v says what they need)")
	}
}

// socketOf says whose socket it is: "listener main", "client of main".
func socketOf(object, name string) string {
	switch {
	case name == "":
		return object
	case object == "client":
		return "client of " + name
	}
	return object + " " + name
}

func (c *consoleEncoder) socketOption(b event.SocketOption) {
	t, glyph := plain, '·'
	if b.Err != "" {
		t, glyph = warning, '!'
	}
	c.start(t, glyph, "option")
	c.column(1, b.Option+" on "+socketOf(b.Object, b.Listener+b.Upstream), 0)
	asked := "not asked for"
	if b.Asked != "" {
		asked = "asked " + b.Asked
	}
	c.say(asked + ", effective " + b.Got)
	c.say(bracketed(b.Key))
	c.finally(strings.Join(present(b.Err, prefixed("needs ", b.Need), b.Note), "; "))
}

// present returns those of texts that say something.
func present(texts ...string) []string {
	var out []string
	for _, s := range texts {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// prefixed returns s behind prefix, or "" where there is no s.
func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// bracketed returns s in brackets, or "" where there is no s.
func bracketed(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

// counted returns n with the noun that goes with it.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(int64(n)) + " " + many
}
