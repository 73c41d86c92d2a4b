# What the workers of Sidekiq run. It is loaded by them and by the flow.
require "sidekiq"

Redis.silence_deprecations = true # of what Sidekiq uses

Sidekiq.configure_server do |config|
  config.options[:poll_interval_average] = 0.05 # look for jobs that are due often
  config.logger.level = Logger::WARN
end

def redis(&block) = Sidekiq.redis(&block)

class Note
  include Sidekiq::Job

  def perform(key, text) = redis { |r| r.rpush(key, text) }
end

class Urgent < Note
  sidekiq_options queue: "critical"
end

# Fails so many times.
class Flaky
  include Sidekiq::Job
  sidekiq_options retry: 5
  sidekiq_retry_in { 3600 }

  def perform(failures)
    tries = redis { |r| r.incr("tries:#{jid}") }
    raise "failure #{tries}" if tries <= failures
    redis { |r| r.rpush("tried", "after #{tries}") }
  end
end

class Hopeless
  include Sidekiq::Job
  sidekiq_options retry: 1
  sidekiq_retries_exhausted { |job, error| redis { |r| r.rpush("exhausted", "#{job["args"]} #{error.message}") } }

  def perform(text) = raise(ArgumentError, text)
end

# Waits until it is let go.
class Patient
  include Sidekiq::Job

  def perform
    redis { |r| r.rpush("started", jid) }
    redis { |r| r.blpop("go", timeout: 60) }
  end
end
