package ca

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Revoker is an [Inventory] that can be told of revocations.
type Revoker interface {
	// RevokeKnown marks a certificate as revoked. One that is revoked already, or
	// is not there, is no error.
	RevokeKnown(ctx context.Context, serial string, at time.Time) error
}

// record tells the inventory what is about to be handed out, and what was
// revoked.
func (w *works) record(ctx context.Context, inv Inventory) (forget func(context.Context) error, err error) {
	if inv == nil {
		return func(context.Context) error { return nil }, nil
	}
	forget, err = addAll(ctx, inv, w.issued)
	if r, is := inv.(Revoker); is && err == nil {
		for _, c := range w.revoked {
			if err := r.RevokeKnown(ctx, c.Serial, c.At); err != nil {
				return nil, errors.Join(fmt.Errorf("recording a revocation: %w; nothing was changed", err), forget(context.WithoutCancel(ctx)))
			}
		}
	}
	return forget, err
}

// Add implements [Inventory] for the authorities of the manifest: what they issue
// is collected, and recorded once all of it is made.
func (w *works) Add(_ context.Context, r Record) error {
	w.issued = append(w.issued, r)
	return nil
}

// Remove implements [Inventory].
func (w *works) Remove(_ context.Context, serial string) error {
	w.issued = slices.DeleteFunc(w.issued, func(r Record) bool { return r.Serial == serial })
	return nil
}
