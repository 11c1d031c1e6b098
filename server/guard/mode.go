package guard

// InForce returns the mode at the moment.
func (g *Guard) InForce() Mode { return g.mode() }
