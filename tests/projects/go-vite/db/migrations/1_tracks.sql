-- migrate:up
CREATE TABLE tracks (title text PRIMARY KEY);
INSERT INTO tracks VALUES ('So What'), ('Blue in Green');

-- migrate:down
DROP TABLE tracks;
