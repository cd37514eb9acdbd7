//go:build race

package control

// underRace says that the race detector slows everything down.
const underRace = true
