package tcpwatch

import "container/heap"

// pendingFlows is a heap of closed connections, by when to ask for them next.
type pendingFlows []*Flow

var _ heap.Interface = (*pendingFlows)(nil)

// Len implements heap.Interface.
func (p pendingFlows) Len() int { return len(p) }

// Less implements heap.Interface.
func (p pendingFlows) Less(i, j int) bool { return p[i].next < p[j].next }

// Swap implements heap.Interface.
func (p pendingFlows) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *pendingFlows) Push(x any) { *p = append(*p, x.(*Flow)) }

// Pop implements heap.Interface.
func (p *pendingFlows) Pop() any {
	old := *p
	f := old[len(old)-1]
	old[len(old)-1] = nil
	*p = old[:len(old)-1]
	return f
}
