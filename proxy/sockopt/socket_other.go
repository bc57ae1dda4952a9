//go:build !linux

package sockopt

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

// errPlatform is the Err of every option off Linux, for which the table is
// written.
var errPlatform = fmt.Errorf("socket options on %s: %w", runtime.GOOS, errors.ErrUnsupported)

type refusals map[string]error

func control(steps []step, object Object, strict bool, _ *refusals) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		for i := range steps {
			if strict && steps[i].inKernel() {
				return &OptionError{Setting: steps[i].unsupported(object)}
			}
		}
		return nil
	}
}

func (s *step) unsupported(object Object) Setting {
	return Setting{Object: object, Name: s.name, Key: s.key, Asked: s.show(s.want), Err: errPlatform, Need: "Linux"}
}

func setBacklog(syscall.Conn, int) error { return errPlatform }

func readSocket(_ syscall.Conn, o *Options, object Object, _ refusals) ([]Setting, error) {
	return unsupported(o, object), nil
}

func unsupported(o *Options, object Object) []Setting {
	where := atClient
	switch object {
	case Listener:
		where = atListener
	case Upstream:
		where = atUpstream
	}
	var settings []Setting
	for _, s := range plan(o, where) {
		if s.inKernel() || s.key == "backlog" {
			settings = append(settings, s.unsupported(object))
		}
	}
	return settings
}

func check(network string, object Object, o *Options) ([]Setting, error) {
	if o.Strict {
		if err := control(plan(o, onListener|onUpstream), object, true, nil)(network, "", nil); err != nil {
			return nil, err
		}
	}
	return unsupported(o, object), nil
}

func settle(conn syscall.Conn, noDelay, _ bool) error {
	type delayer interface{ SetNoDelay(bool) error }
	if d, ok := conn.(delayer); ok && !noDelay {
		return d.SetNoDelay(false)
	}
	return nil
}

func quickAck(syscall.Conn) error { return errPlatform }

func keepNothing(syscall.Conn) error { return errPlatform }

// restrictMode does nothing: the file gets its mode from the umask alone.
func restrictMode(uint32) func(network, address string, c syscall.RawConn) error { return nil }
