package tcpwatch

func (w *Watcher) startHigher(o Options) {}
