CREATE DATABASE shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE `or``ders` (
    id INT PRIMARY KEY AUTO_INCREMENT, note TEXT, picture LONGBLOB, letters INT GENERATED ALWAYS AS (CHAR_LENGTH(note)) STORED
) COMMENT 'a
-- Table structure for table `comment`
';
INSERT INTO `or``ders` (note, picture) VALUES
    ('plain', 'x'), (NULL, NULL), ('', ''), ('🐟 ä \\ '' \" ` ;; ),(', 0x00ff0a27225c),
    ('two
-- Table structure for table `row`
-- Current Database: `row`
DELIMITER ;;
lines', REPEAT(0x2700, 70000));
CREATE TABLE numbers (a BIGINT, b DECIMAL(30,10), c DOUBLE, d BIT(5), e DATETIME(6), f TIMESTAMP(6) NULL, g JSON);
INSERT INTO numbers VALUES (-1, 1.5, 1e300, b'10101', '2026-01-02 03:04:05.678901', '2026-06-02 03:04:05.5', '[1, "("]'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE `.hidden/dir` (a INT);
INSERT INTO `.hidden/dir` SELECT seq FROM seq_1_to_5000;
CREATE TABLE parents (id INT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE children (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parents (id)) ENGINE=InnoDB;
INSERT INTO parents VALUES (1), (2);
INSERT INTO children VALUES (10, 1), (20, 2);
CREATE TABLE history (a INT) WITH SYSTEM VERSIONING;
INSERT INTO history VALUES (1);
UPDATE history SET a = 2;
CREATE SEQUENCE counter START WITH 5 NOCACHE;
DO NEXTVAL(counter);
CREATE OR REPLACE VIEW z_view AS SELECT id, 'x
-- Final view structure for view `none`
' AS text FROM `or``ders`;
CREATE OR REPLACE VIEW a_view AS SELECT * FROM z_view;
DELIMITER //
CREATE PROCEDURE hostile() BEGIN
-- Table structure for table `evil`
-- Current Database: `evil`
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
SELECT ';;';
# it's
END//
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN n * 2//
CREATE TRIGGER before_number BEFORE INSERT ON numbers FOR EACH ROW BEGIN
-- Dumping routines for database 'shop'
SET NEW.a = NEW.a + 0;
END//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO BEGIN
-- Dumping events for database 'shop'
SELECT 1;
END//
DELIMITER ;
CREATE DATABASE `o-d d/ä`;
CREATE TABLE `o-d d/ä`.`t` (a INT);
INSERT INTO `o-d d/ä`.`t` VALUES (1), (2), (3);
CREATE VIEW `o-d d/ä`.`v'2` AS SELECT * FROM shop.parents;
CREATE USER 'reader'@'localhost' IDENTIFIED BY 'correct horse';
GRANT SELECT ON shop.* TO 'reader'@'localhost';
