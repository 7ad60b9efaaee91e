-- In which files do the events lie that files which were added touch?
select distinct file from touched where run = :run
