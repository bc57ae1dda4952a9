package tcpwire_test

import (
	"encoding/hex"
	"fmt"

	"mtlsproxy/proxy/tcpwire"
)

func ExampleParseSegment() {
	// A SYN as TCP_SAVED_SYN returns it: 20 bytes of IPv4, 40 of TCP.
	b, _ := hex.DecodeString("4500003c1c464000400600007f0000017f000001" +
		"c73820fbdeadbeef00000000a002faf000000000" + "020405b40402080a0000a1b20000000001030307")
	syn, err := tcpwire.ParseSegment(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(syn.Src, "to", syn.Dst, syn.Flags)
	for o := range syn.Options() {
		fmt.Printf("%s [%x]\n", o.Kind, o.Data)
	}
	fmt.Println(syn.Signature())
	// Output:
	// 127.0.0.1:51000 to 127.0.0.1:8443 SYN
	// MSS [05b4]
	// SACK-permitted []
	// timestamps [0000a1b200000000]
	// NOP []
	// WScale [07]
	// 4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0
}
