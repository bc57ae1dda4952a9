package configs_test

import (
	"fmt"

	"mtlsproxy/configs"
)

func ExampleLoad() {
	_, err := configs.Load(configs.Source{
		File:    "proxy.yaml",
		Content: []byte("listeners:\n  main:\n    client_auth:\n      mode: requires\n    timeouts: { idel: 1m }\n"),
		Environ: []string{"MTLSPROXY_LOGGING_LEVEL=loud"},
	})
	fmt.Println(err)
	// Output:
	// proxy.yaml:4:13  listeners.main.client_auth.mode: "requires" is not one of none, request, require – did you mean "require"?
	// proxy.yaml:5:17  listeners.main.timeouts: unknown key "idel" – did you mean "idle"?
	// MTLSPROXY_LOGGING_LEVEL  logging.level: "loud" is not one of debug, info, warn, error
}

func ExampleLoaded_Origin() {
	l, err := configs.Load(configs.Source{
		File:    "proxy.yaml",
		Content: []byte("shutdown:\n  timeout: 1m\n"),
		Flags:   []configs.Flag{{Name: "--set", Key: "shutdown.delay", Value: "5s"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range []string{"shutdown.delay", "shutdown.timeout", "logging.level"} {
		fmt.Println(key, l.Value(key), l.Origin(key))
	}
	// Output:
	// shutdown.delay 5s flag --set
	// shutdown.timeout 1m file proxy.yaml:2
	// logging.level info default
}
