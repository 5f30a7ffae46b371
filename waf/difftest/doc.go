// Package difftest compares the engine with Coraza: the same rules and the same
// requests must give the same verdicts. It has tests only.
package difftest
