// The API: titles of tracks, from PostgreSQL.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func main() {
	pool, err := pgxpool.New(context.Background(), os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/tracks", func(response http.ResponseWriter, request *http.Request) {
		rows, err := pool.Query(request.Context(), "SELECT title FROM tracks ORDER BY title")
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		titles, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		response.Header().Set("Content-Type", "application/json")
		json.NewEncoder(response).Encode(map[string][]string{"tracks": titles})
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
