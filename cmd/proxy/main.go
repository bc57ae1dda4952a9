package main

import (
	_ "github.com/cloudflare/cfssl/config"
	_ "github.com/cloudflare/cfssl/csr"
	_ "github.com/cloudflare/cfssl/helpers"
	_ "github.com/cloudflare/cfssl/initca"
	_ "github.com/cloudflare/cfssl/log"
	_ "github.com/cloudflare/cfssl/signer/local"
	_ "github.com/fsnotify/fsnotify"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/gopacket/gopacket/pcapgo"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/viper"
	_ "go.uber.org/zap"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/crypto/chacha20poly1305"
	_ "golang.org/x/crypto/cryptobyte"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "golang.org/x/time/rate"
)

func main() {}
