# What a program does with Sidekiq. It is run beside a server, and prints "fine".
require "sidekiq/api"
require_relative "jobs"

WAIT = 60

def await_that(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + WAIT
  until yield
    raise "waited too long for #{what}" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
    sleep 0.01
  end
end

def equal(what, got, want)
  raise "#{what}: got #{got.inspect}, want #{want.inspect}" unless got == want
end

def list(key) = redis { |r| r.lrange(key, 0, -1) }

def results
  jid = Note.perform_async("notes", "one")
  await_that("the note") { list("notes") == ["one"] }
  equal "jobs like it", Sidekiq::Queue.new.find_job(jid), nil
  Note.perform_bulk((1..50).map { |n| ["bulk", n] })
  await_that("all of them") { list("bulk").size == 50 }
  equal "the numbers", list("bulk").map(&:to_i).sort, (1..50).to_a
  Note.set(queue: "critical").perform_async("notes", "two")
  await_that("the note of the critical queue") { list("notes").last == "two" }
  await_that("the statistics") { Sidekiq::Stats.new.processed >= 52 }
  equal "queues", Sidekiq::Queue.all.map(&:name), %w[critical default]
end

def failures
  retries, dead = Sidekiq::RetrySet.new, Sidekiq::DeadSet.new
  jid = Flaky.perform_async(2)
  (1..2).each do |n|
    job = nil
    await_that("failure #{n}") { (job = retries.find_job(jid)) && job["error_message"] == "failure #{n}" }
    equal "retries", job["retry_count"], n - 1
    raise "the next attempt is at #{job.at}" unless (3500..3700).cover?(job.at - Time.now)
    job.reschedule(Time.now)
  end
  await_that("the third attempt") { list("tried") == ["after 3"] }
  jid = Hopeless.perform_async("no way")
  await_that("it to fail") { retries.size == 1 }
  retries.first.reschedule(Time.now)
  await_that("it to die") { dead.size == 1 }
  job = dead.find_job(jid)
  equal "its error", [job["error_class"], job["error_message"], job["retry_count"]], ["ArgumentError", "no way", 1]
  equal "the last words", list("exhausted"), ['["no way"] no way']
  job.retry
  await_that("it to die again") { list("exhausted").size == 2 && dead.size == 1 }
  dead.clear

  slow = Flaky.set(retry: 3).perform_in(3600, 1)
  scheduled = Sidekiq::ScheduledSet.new.find_job(slow)
  scheduled.kill
  equal "what is dead", dead.map(&:jid), [slow]
  dead.first.delete
  equal "what is dead", dead.size, 0
end

def later
  set = Sidekiq::ScheduledSet.new
  distant = Note.perform_in(3600, "later", "distant")
  moved = Note.perform_at(Time.now + 7200, "later", "moved")
  Note.perform_in(0.1, "later", "soon")
  await_that("the one that is soon") { list("later") == ["soon"] }
  equal "what is scheduled", set.map(&:jid), [moved, distant]
  set.find_job(moved).reschedule(Time.now)
  await_that("the one that was moved") { list("later").last == "moved" }
  set.find_job(distant).add_to_queue
  await_that("the distant one") { list("later").last == "distant" }
  Note.perform_in(3600, "later", "never")
  equal "those that match", set.scan("never").map(&:args), [%w[later never]]
  set.clear
  equal "what is scheduled", set.size, 0
end

# The server runs two jobs at a time.
def order
  2.times { Patient.perform_async }
  await_that("both to start") { list("started").size == 2 }
  3.times { |n| Note.perform_async("order", n) }
  3.times { |n| Urgent.perform_async("order", "urgent #{n}") }
  equal "what waits", Sidekiq::Queue.all.to_h { |q| [q.name, q.size] }, {"critical" => 3, "default" => 3}
  raise "no latency" unless Sidekiq::Queue.new.latency >= 0
  equal "the first and the last", Sidekiq::Queue.new.map { |job| job.args[1] }, [2, 1, 0]
  Sidekiq::Queue.new.find { |job| job.args[1] == 1 }.delete
  redis { |r| r.rpush("go", 1) } # for one of the two, which then does all the rest
  await_that("all") { list("order").size == 5 }
  equal "the order", list("order"), ["urgent 0", "urgent 1", "urgent 2", "0", "2"]
  redis { |r| r.rpush("go", 1) }
end

def ends
  processes = Sidekiq::ProcessSet.new
  await_that("the server's heartbeat") { processes.size == 1 }
  server = processes.first
  equal "its queues", [server.queues.uniq, server["concurrency"]], [%w[critical default], 2]
  equal "what is left", [Sidekiq::Stats.new.enqueued, Sidekiq::RetrySet.new.size], [0, 0]
  Sidekiq::Queue.new("default").clear
  server.stop! # it hears of it at its next heartbeat
  await_that("it to go") { Sidekiq::ProcessSet.new(false).size == 0 }
end

results
failures
later
order
ends
puts "fine"
