// Command proxy is a mutual-TLS proxy, handshake inspector and CA toolkit in one
// binary. One file holds one command; root.go puts them together, exit.go says
// with which code each error ends the process.
package main

import "os"

func main() { os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
