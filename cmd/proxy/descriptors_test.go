package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mtlsproxy/proxy"
	"mtlsproxy/proxy/event"
)

func TestConnectionsAreNeverMoreThanDescriptorsAreFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		files   int
		asked   []int
		want    []int
		lowered int // events
	}{
		{"there are enough", 20064, []int{10000}, []int{10000}, 0},
		{"one is missing", 20062, []int{10000}, []int{9999}, 1},
		{"few", 1024, []int{10000}, []int{480}, 1},
		{"listeners share", 1064, []int{3000, 1000}, []int{375, 125}, 2},
		{"no bound is as many as there are", 1064, []int{0}, []int{500}, 0},
		{"no bound beside one", 1064, []int{0, 500}, []int{250, 250}, 1},
		{"hardly any", 32, []int{10000}, []int{4}, 1},
		{"none", 3, []int{10000, 10000}, []int{1, 1}, 2},
		{"no limit", manyDescriptors, []int{math.MaxInt32 / 8}, []int{math.MaxInt32 / 8}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p plan
			for _, n := range tt.asked {
				p.listeners = append(p.listeners, plannedListener{settings: proxy.Settings{Limits: proxy.Limits{Connections: n}}})
			}
			p.fitDescriptors(tt.files)
			var got []int
			for i, l := range p.listeners {
				got = append(got, l.settings.Limits.Connections)
				if few := l.settings.Limits.FewDescriptors; few != (got[i] != tt.asked[i]) {
					t.Errorf("listener %d: few descriptors: %t", i, few)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if len(p.news) != tt.lowered {
				t.Errorf("told %v, want %d", p.news, tt.lowered)
			}
			for _, body := range p.news {
				if b := body.(event.LimitLowered); b.Value >= b.Asked {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}
