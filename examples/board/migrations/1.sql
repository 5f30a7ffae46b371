CREATE TABLE board_posts (
	id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	title     text NOT NULL,
	body      text NOT NULL, -- HTML, as the administrator wrote it
	published boolean NOT NULL,
	created   timestamptz NOT NULL DEFAULT now(),
	updated   timestamptz NOT NULL DEFAULT now(),
	words     tsvector GENERATED ALWAYS AS
		(to_tsvector('simple', title || ' ' || regexp_replace(body, '<[^>]*>', ' ', 'g'))) STORED
);
CREATE INDEX board_posts_words ON board_posts USING gin (words);
CREATE INDEX board_posts_created ON board_posts (created DESC);

CREATE TABLE board_comments (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	post    bigint NOT NULL REFERENCES board_posts ON DELETE CASCADE,
	author  text NOT NULL,
	body    text NOT NULL, -- plain text
	created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX board_comments_post ON board_comments (post, id);

CREATE TABLE board_admins (
	username text PRIMARY KEY,
	hash     text NOT NULL -- bcrypt
);

CREATE TABLE board_admin_sessions (
	token    bytea PRIMARY KEY, -- SHA-256 of the cookie
	username text NOT NULL REFERENCES board_admins ON DELETE CASCADE,
	csrf     text NOT NULL,
	expires  timestamptz NOT NULL
);

INSERT INTO board_posts (title, body, published) VALUES
	('Welcome to the board',
	 '<p>This notice board runs behind eleven walls. You read it from the <strong>fleet</strong>, which can change nothing; an administrator writes it from an instance of its own.</p><p>Leave a comment: it is the one thing a visitor may write.</p>',
	 true);
