# frozen_string_literal: true

require "openssl"

module Support
  # A root and two certificates that it signed, in PEM files.
  class Certificates
    attr_reader :ca, :gate, :gate_key, :worker, :worker_key

    def initialize(folder)
      @folder = folder
      @root_key = OpenSSL::PKey::EC.generate("prime256v1")
      @root = certificate("test root", @root_key, ["basicConstraints", "CA:TRUE", true], ["keyUsage", "keyCertSign", true])
      @ca = write("ca.pem", @root.to_pem)
      @gate, @gate_key = issue("gate", ["subjectAltName", "IP:127.0.0.1,DNS:localhost", false])
      @worker, @worker_key = issue("worker", ["extendedKeyUsage", "clientAuth", false])
    end

    private

    def issue(name, *extensions)
      key = OpenSSL::PKey::EC.generate("prime256v1")
      [write("#{name}.pem", certificate(name, key, *extensions).to_pem), write("#{name}.key", key.to_pem)]
    end

    def certificate(name, key, *extensions)
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = rand(1..1 << 60)
      certificate.subject = OpenSSL::X509::Name.new([["CN", name]])
      certificate.issuer = @root ? @root.subject : certificate.subject
      certificate.not_before = Time.now - 60
      certificate.not_after = Time.now + 3_600
      certificate.public_key = key
      factory = OpenSSL::X509::ExtensionFactory.new(@root || certificate, certificate)
      extensions.each { |extension| certificate.add_extension(factory.create_extension(*extension)) }
      certificate.sign(@root_key, "SHA256")
    end

    def write(name, text)
      File.join(@folder, name).tap { |path| File.write(path, text, perm: 0o600) }
    end
  end
end
