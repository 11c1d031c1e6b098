// Command search is a service that verifies the tokens of its callers once more, behind the door.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/auth/credentials/idtoken"
)

func main() {
	validator, err := idtoken.NewValidator(&idtoken.ValidatorOptions{
		RS256CertsURL: os.Getenv("GCP_METADATA_EMULATOR_URL") + "/oauth2/v3/certs", Client: http.DefaultClient,
	})
	if err != nil {
		log.Fatal(err)
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		payload, err := validator.Validate(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), os.Getenv("OWN_URL"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%v by idtoken\n", payload.Claims["email"])
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}
