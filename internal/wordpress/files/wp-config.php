<?php
// WordPress behind Ringwall. Secrets come from files that only this tier's
// instances see; this file holds none.

function ringwall_secret( $variable, $file ) {
	$file = getenv( $variable ) ?: $file;
	$text = @file_get_contents( $file );
	$data = false === $text ? null : json_decode( $text, true );
	if ( ! is_array( $data ) ) {
		http_response_code( 503 );
		header( 'Retry-After: 2' );
		error_log( "WordPress cannot start: $file is missing or is no JSON object" );
		exit( 'This site is not ready yet.' );
	}
	return $data;
}

$ringwall_db = ringwall_secret( 'DATABASE_SECRET', '/run/secrets/database.json' );
define( 'DB_NAME', $ringwall_db['dbname'] );
define( 'DB_USER', $ringwall_db['username'] );
define( 'DB_PASSWORD', $ringwall_db['password'] );
define( 'DB_HOST', $ringwall_db['host'] . ':' . ( $ringwall_db['port'] ?? 3306 ) );
if ( getenv( 'DATABASE_TLS' ) ) {
	define( 'MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL ); // the server refuses anything else
}
define( 'DB_CHARSET', 'utf8mb4' );
define( 'DB_COLLATE', '' );
$table_prefix = 'wp_';

$ringwall_salts = ringwall_secret( 'WORDPRESS_SECRET', '/run/secrets/wordpress.json' );
foreach ( array( 'AUTH_KEY', 'SECURE_AUTH_KEY', 'LOGGED_IN_KEY', 'NONCE_KEY', 'AUTH_SALT', 'SECURE_AUTH_SALT', 'LOGGED_IN_SALT', 'NONCE_SALT' ) as $ringwall_name ) {
	define( $ringwall_name, $ringwall_salts[ $ringwall_name ] );
}
unset( $ringwall_db, $ringwall_salts, $ringwall_name );

// The edge ends TLS and lets known hosts only through.
$_SERVER['HTTPS'] = 'on';
$ringwall_host    = $_SERVER['HTTP_HOST'] ?? 'localhost';
if ( ! preg_match( '/^[A-Za-z0-9.\-]+(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?$/', $ringwall_host ) ) {
	$ringwall_host = 'localhost';
}
define( 'WP_HOME', 'https://' . $ringwall_host );
define( 'WP_SITEURL', 'https://' . $ringwall_host );
unset( $ringwall_host );
define( 'FORCE_SSL_ADMIN', true );

define( 'DISABLE_WP_CRON', true );            // admin's web server asks for wp-cron.php instead
define( 'AUTOMATIC_UPDATER_DISABLED', true ); // updates come with the system's package
define( 'WP_AUTO_UPDATE_CORE', false );
define( 'WP_HTTP_BLOCK_EXTERNAL', true );     // the network refuses it anyway: this saves the wait
define( 'FS_METHOD', 'direct' );
define( 'WP_DEBUG_DISPLAY', false );

if ( 'admin' !== getenv( 'RINGWALL_TIER' ) ) {
	// These hide what would not work: the read-only files and the database's
	// grants are what refuses.
	define( 'DISALLOW_FILE_MODS', true );
	define( 'CUSTOM_USER_TABLE', $table_prefix . 'users_public' );
	define( 'CUSTOM_USER_META_TABLE', $table_prefix . 'usermeta_public' );
}

if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
