// Faulty is an app that misbehaves as its environment and its requests say: for
// the tests of faults.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sleep" {
		time.Sleep(time.Hour)
		return
	}
	fmt.Println("faulty: started")
	switch os.Getenv("FAULT") {
	case "crash":
		fmt.Println("faulty: the lamp is broken")
		os.Exit(7)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	}
	var kept [][]byte
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if os.Getenv("FAULT") == "sick" {
			fmt.Println("faulty: the lamp is broken")
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/leak", func(w http.ResponseWriter, r *http.Request) {
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b)
		}
	})
	http.HandleFunc("/fork", func(w http.ResponseWriter, r *http.Request) {
		for i := range 5000 {
			if err := exec.Command("/proc/self/exe", "sleep").Start(); err != nil {
				fmt.Fprintf(w, "started %d, then: %v\n", i, err)
				return
			}
		}
		fmt.Fprintln(w, "no limit")
	})
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, "%s %d %d\n", os.Getenv("RINGWALL_TIER"), os.Getpid(), len(kept))
	})
	fmt.Println(http.ListenAndServe(os.Getenv("HOST")+":"+os.Getenv("PORT"), nil))
	os.Exit(1)
}
