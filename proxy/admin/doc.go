// Package admin is what an operator sees of a running proxy: the journals of its
// connections, and a door to ask for them.
//
// [Journals] is the sink that keeps them. A journal becomes a [Document], the one
// form in which a connection is told to people and programs alike: the commands,
// the API and the pages all read it. [AppendLadder] draws a document as text.
// [Listen] and [Serve] open the door, a unix socket; [Dial] is the other side of
// it.
//
// # Guarantees
//
// Emit never blocks for longer than it takes to append to a slice. What is kept
// is bounded in number and in bytes, and what had to be let go is counted. Nothing
// secret comes in: events hold no keys, tickets or application data.
//
// Texts in a document may come from the client. They are free of control
// characters when events carry them; the ladder escapes what it prints all the
// same.
//
// # What is left to others
//
// The package decides nothing about a connection and reaches into none: of this
// project it knows the vocabulary, package event, alone. Which paths and limits
// the configuration names is the command's matter.
package admin
