// Package mutations has no code of its own. Its test takes every promise that a
// template can keep down, one after the other, in the templates of a whole site,
// and wants the check of that promise to see it.
package mutations
