<?php
require __DIR__ . '/boots.php';
try {
    $rows = rows();
    $problem = '';
} catch (mysqli_sql_exception $error) {
    http_response_code(503);
    $rows = [];
    $problem = $error->getMessage();
}
$text = fn (?string $value): string => htmlspecialchars((string) $value, ENT_QUOTES);
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title><?= $text(gethostname()) ?>: a board, installed by Bootpilot</title>
<style>
  :root { color-scheme: light dark; }
  body { margin: 6vh auto; max-width: 60rem; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }
  table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .4rem .6rem .4rem 0; border-top: 1px solid #8888; text-align: left; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1><?= $text(gethostname()) ?></h1>
<?php if ($problem !== '') { ?>
<p>The database does not answer: <?= $text($problem) ?></p>
<?php } else { ?>
<p>Apache, MariaDB and PHP on <?= $text(php_uname('s') . ' ' . php_uname('r') . ', ' . php_uname('m')) ?>. The table has a row for each
boot; the same as <a href="/status.json">status.json</a>.</p>
<?php } ?>
<table>
<tr><th>Boot</th><th>When (UTC)</th><th>Kernel</th><th>Node</th><th>Boot's id</th></tr>
<?php foreach ($rows as $row) { ?>
<tr><td><?= (int) $row['number'] ?></td><td><?= $text($row['at']) ?></td><td><?= $text($row['kernel']) ?></td>
<td><?= $text($row['node_id'] ?: '-') ?></td><td><?= $text($row['boot_id'] ?: $row['kernel_boot']) ?></td></tr>
<?php } ?>
</table>
</body>
</html>
